"""What a writer of submissions reports."""
from pathlib import Path
from typing import NamedTuple


class Written(NamedTuple):
    """path of the submission, how many images it holds, and what a person should know of it."""
    path: Path
    images: int
    notes: list[str]
