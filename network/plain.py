"""The plain form: every computation in the order in which its paper draws it.

This package reorders linear operations where that saves arithmetic (network.pyramid, network.ocr). Results agree up to
rounding, costs do not. The plain form is for counting what others count, and for exporters, whose programs it keeps simple.
"""
from contextlib import contextmanager

_active = False


def is_plain() -> bool:
    return _active


@contextmanager
def plain_form():
    """Within it the networks of this process compute the plain form."""
    global _active
    before, _active = _active, True
    try:
        yield
    finally:
        _active = before
