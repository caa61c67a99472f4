"""`python -m unet` and `unet`: nothing but the command line, with ctrl-C minded before anything is imported."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; ctrl-C while it is still loading is no reason for a traceback."""
    try:
        from unet.cli import main as run

        return run()
    except KeyboardInterrupt:
        return _end("stopped by ctrl-C", 130)
    except OSError as error:  # help goes to a full disk
        return _end(f"error: standard output cannot be written ({error.strerror})", 2)


def _end(line: str, code: int) -> int:
    try:
        sys.stderr.write(f"unet: {line}\n")
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(code)  # without another attempt to flush
    return code


if __name__ == "__main__":
    sys.exit(main())
