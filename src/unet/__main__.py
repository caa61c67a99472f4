"""`python -m unet` and `unet`: nothing but the command line, with ctrl-C minded before anything is imported."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; ctrl-C while it is still loading is no reason for a traceback."""
    try:
        from unet.cli import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("unet: stopped by ctrl-C\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
