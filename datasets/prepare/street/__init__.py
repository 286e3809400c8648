"""A procedural street: seeded drawings of driving scenes with the 34 Cityscapes label ids, for tests and first steps.

Everything is drawn from numbers: flat pieces in metres (`sprite`) stand in a pinhole camera's view (`canvas`), from far
to near, on a ground computed pixel by pixel (`ground`). It is no simulator and no substitute for photographs; it is
small, fast and the same on every machine.
"""

from datasets.prepare.street.scene import THEMES, render_scene

__all__ = ['THEMES', 'render_scene']
