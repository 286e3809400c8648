"""The plain form: every computation in the order in which its paper draws it.

This package reorders linear operations where that saves arithmetic (network.pyramid, network.ocr). Results agree up to
rounding, costs do not. The plain form is for counting what others count, and for exporters, whose programs it keeps
simple.
"""

from contextlib import contextmanager

from torch import nn


class Reordered:
    """Mixin of the modules that have a plain form; `plain` says whether their next pass takes it."""

    plain = False


@contextmanager
def plain_form(net: nn.Module):
    """Within it `net`, and no other network, computes the plain form."""
    before = [(part, part.plain) for part in net.modules() if isinstance(part, Reordered)]
    for part, _ in before:
        part.plain = True
    try:
        yield
    finally:
        for part, plain in before:
            part.plain = plain
