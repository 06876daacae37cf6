"""The entry point: runs the command line and turns whatever escapes it into one sentence. No traceback by default."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from proxy import cli


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of the command line `argv` (default: the process's own)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = cli.main(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader (`| head`) has gone. Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        return _unexpected(error, arguments)
    return status


def _unexpected(error: Exception, arguments: Sequence[str]) -> int:
    """The last resort. Says the kind and place of the error only: its text may hold what was being processed."""
    if cli.wants_debug(arguments):
        traceback.print_exception(error)
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        sys.stderr.write(
            f"midstream: internal error {type(error).__name__} at {frame.filename}:{frame.lineno};"
            " MIDSTREAM_LOG_LEVEL=debug shows the traceback\n"
        )
    return 1


if __name__ == "__main__":
    sys.exit(main())
