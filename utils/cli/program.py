"""Programs: from a call to an exit code. A person's mistake ends as one line on stderr and exit code 2."""

import io
import sys
from contextlib import suppress

from utils.cli.parser import config_of
from utils.cli.wording import told

MISTAKES = (ValueError, OSError)  # what a person can mend; anything else is a fault of the program and keeps its trace
STOPPED = 75  # exit code of a training that was told to stop and has saved; sysexits.h: try again later
INTERRUPTED = 130  # of one that Ctrl-C ended, as shells count it


def print_anything():
    """Print what the console's encoding lacks, such as names of classes and files, as '?' instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='replace')


def wants_trace(argv) -> bool:
    """Whether --debug was given, on the command line or in the YAML file of --config."""
    if '--debug' in argv:
        return True
    with suppress(ValueError, OSError):  # of a file that is the mistake itself
        return bool(config_of(argv).get('debug'))
    return False


def check_flags(name: str, parse, argv=None):
    """Answer a call for help, and end with exit code 2 for flags that parse(argv) refuses; else nothing.

    A program whose modules import torch, which takes seconds, calls it before it imports them.
    """
    code = run_program(name, lambda argv: parse(argv) and None, argv)
    if code:
        sys.exit(code)


def run_program(name: str, body, argv=None, interrupted: str = 'interrupted', mistakes=MISTAKES, remedy=None) -> int:
    """Call body(argv) and return its exit code, 0 for None.

    Args:
        name: of the program, as a person calls it: 'train.py', 'python -m datasets.verify'.
        argv: the arguments, by default those of this process. With --debug among them, or in the file of --config,
            errors keep their stack trace.
        interrupted: what Ctrl-C leaves behind, for the line that says so (exit code 130); the text of the
            KeyboardInterrupt goes before it.
        mistakes: the kinds of errors that are reported in one line (exit code 2).
        remedy: error -> what to add to that line; None: it is a fault of the program after all and is raised.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    print_anything()
    try:
        return body(argv) or 0
    except KeyboardInterrupt as error:
        print(f'{name}: {str(error) or interrupted}', file=sys.stderr)
        return INTERRUPTED
    except mistakes as error:
        hint = remedy(error) if remedy else ''
        if hint is None or wants_trace(argv):
            raise
        print(f'{name}: error: {told(error)}{hint}', file=sys.stderr)
        return 2
