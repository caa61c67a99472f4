"""`python -m unet` does what `unet` does."""

from __future__ import annotations

import sys

from unet.cli import main

if __name__ == "__main__":
    sys.exit(main())
