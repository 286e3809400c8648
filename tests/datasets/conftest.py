"""An empty dataset root, and the trees of small_trees.py as fixtures."""

import pytest
from small_trees import make_camvid, make_cityscapes, striped_label, write_png

from config import scope


@pytest.fixture
def write():
    return write_png


@pytest.fixture
def root(tmp_path):
    """An empty dataset root that cfg points to; assets are beside it."""
    folder = tmp_path / 'data'
    folder.mkdir()
    with scope(DATASET__ROOT=str(folder), ASSETS_PATH=str(tmp_path / 'assets')):
        yield folder


@pytest.fixture
def cityscapes_tree():
    return make_cityscapes


@pytest.fixture
def camvid_tree():
    return make_camvid


@pytest.fixture
def stripes():
    return striped_label
