"""`python -m sheetgpt`, and what the installed command runs: Ctrl-C is one word, as early as that can be."""

import os
import signal
import sys
from contextlib import suppress

STOPPED = 130  # what a shell expects of a program that Ctrl-C ended


def main() -> None:
    """Run the command line."""
    try:
        from sheetgpt.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        os.write(2, b"Stopped.\n")
        os._exit(STOPPED)
    except SystemExit as end:
        if end.code == STOPPED:  # subtle: Python may end by the signal instead, where it broke into an import
            with suppress(OSError, ValueError, AttributeError):
                sys.stdout.flush()
            os._exit(STOPPED)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to be stopped


if __name__ == "__main__":
    main()
