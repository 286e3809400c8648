import numpy as np
from PIL import Image

from utils.pages.confusion_matrix import CELL, confusion_picture, write_confusion_matrix


def cell_colour(picture, row, column, classes):
    """The colour near a cell's corner, where no number is printed; cells end 18 pixels before the lower edge."""
    top, left = picture.height - 18 - (classes - row) * CELL, left_edge(picture, classes)
    return picture.getpixel((left + column * CELL + 3, top + 3))


def left_edge(picture, classes):
    """The first column of the first cell's border, on the row of the table's lower edge."""
    lower = np.asarray(picture)[picture.height - 18]
    return int(np.flatnonzero((lower == (217, 222, 229)).all(1))[0])


def test_cells_are_coloured_by_the_share_of_the_true_class():
    picture = confusion_picture([[100, 0, 0], [1, 3, 0], [0, 0, 0]], ['road', 'car', 'train'])
    assert cell_colour(picture, 0, 0, 3) == (11, 99, 197)  # all right: the full colour
    assert cell_colour(picture, 0, 1, 3) == (255, 255, 255)  # nothing
    # a quarter wrong: root 0.5, half of the way
    assert cell_colour(picture, 1, 0, 3) == (229, 150, 150)
    assert cell_colour(picture, 1, 1, 3) == (72, 138, 212)  # three quarters right
    assert cell_colour(picture, 2, 2, 3) == (255, 255, 255)  # a class that never occurs


def test_the_picture_is_written_whole_and_grows_with_the_classes(tmp_path):
    sizes = []
    for classes in (2, 19):
        write_confusion_matrix(
            tmp_path / 'confusion.png', np.eye(classes, dtype=np.int64), [f'class {k}' for k in range(classes)]
        )
        with Image.open(tmp_path / 'confusion.png') as picture:
            sizes.append(picture.height)
    assert sizes[1] - sizes[0] >= 17 * CELL
    assert [path.name for path in tmp_path.iterdir()] == ['confusion.png']
