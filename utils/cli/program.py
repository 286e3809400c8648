"""Programs: from a call to an exit code. A person's mistake ends as one line on stderr and exit code 2."""

import sys

MISTAKES = (ValueError, OSError)  # what a person can mend; anything else is a fault of the program and keeps its trace
STOPPED = 75  # exit code of a training that was told to stop and has saved; sysexits.h: try again later
INTERRUPTED = 130  # of one that Ctrl-C ended, as shells count it


def run_program(name: str, body, argv=None, interrupted: str = 'interrupted', mistakes=MISTAKES, remedy=None) -> int:
    """Call body(argv) and return its exit code, 0 for None.

    Args:
        name: of the program, as a person calls it: 'train.py', 'python -m datasets.verify'.
        argv: the arguments, by default those of this process. With --debug among them errors keep their stack trace.
        interrupted: what Ctrl-C leaves behind, for the line that says so (exit code 130).
        mistakes: the kinds of errors that are told in one line (exit code 2).
        remedy: error -> what to add to that line; None: it is a fault of the program after all and is raised.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return body(argv) or 0
    except KeyboardInterrupt:
        print(f'{name}: {interrupted}', file=sys.stderr)
        return INTERRUPTED
    except mistakes as error:
        hint = remedy(error) if remedy else ''
        if hint is None or '--debug' in argv:
            raise
        print(f'{name}: error: {" ".join(str(error).split())}{hint}', file=sys.stderr)
        return 2
