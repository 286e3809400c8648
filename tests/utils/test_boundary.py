"""Boundary IoU against its definition: masks eroded one by one, and a case worked out by hand."""

import cv2
import numpy as np
import pytest
import torch

from utils.boundary import boundary_counts, boundary_distance, boundary_pixels
from utils.metrics import iou_of


def plain_boundary(mask, distance):
    """The pixels of a mask that erosion by `distance` pixels takes away, with nothing outside of the image."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)[1:-1, 1:-1]
    return mask & ~eroded.astype(bool)


def blobs(seed, size=(50, 61), classes=4):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, classes, (6, 7)).astype(np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize('distance', [1, 2, 3, 5, 8, 40])
def test_boundaries_are_what_erosion_takes_from_the_mask_of_each_class(distance):
    labels = blobs(distance)
    found = boundary_pixels(torch.from_numpy(labels)[None], distance)[0].numpy()
    for label in range(4):
        mask = labels == label
        assert (found & mask == plain_boundary(mask, distance)).all()


@pytest.mark.parametrize('height, width, distance', [(1024, 2048, 46), (30, 40, 1), (3, 4, 1), (60, 80, 2)])
def test_the_distance_is_two_percent_of_the_diagonal_and_at_least_a_pixel(height, width, distance):
    assert boundary_distance(height, width) == distance


def test_boundary_iou_of_squares_side_by_side_is_worked_out_by_hand():
    """On 20 x 20 pixels d is 1. Class 1 is a square of 6 x 6, predicted one pixel too far to the right: each contour
    has 20 pixels. They share the 2 x 5 of the upper and lower side; the left side of the second lies inside of the
    first, of its right side the first has a column, which is inside of the second: 10 of 20 + 20 - 10."""
    labels, prediction = torch.zeros(1, 20, 20, dtype=torch.uint8), torch.zeros(1, 20, 20, dtype=torch.uint8)
    labels[0, 5:11, 5:11] = 1
    prediction[0, 5:11, 6:12] = 1
    shared, ours, predicted = boundary_counts(prediction, labels, 2)[0].tolist()
    assert (shared[1], ours[1], predicted[1]) == (10, 20, 20)
    # of class 0: the frame of 76 pixels at the border of the image, which is shared, and a ring of 28 around the square
    assert (ours[0], predicted[0]) == (76 + 28, 76 + 28)
    assert iou_of(boundary_counts(prediction, labels, 2)[0].numpy())[1] == 10 / 30


def test_counts_are_those_of_the_definition_for_all_images_and_unlabelled_pixels_belong_to_no_mask():
    labels = np.stack([blobs(seed) for seed in (10, 11)])
    prediction = np.stack([blobs(seed) for seed in (10, 12)])
    prediction[0, 20:30, 20:30] = 3
    labels[:, 5:12, 30:50] = 255
    found = boundary_counts(torch.from_numpy(prediction), torch.from_numpy(labels), 4).numpy()
    distance = boundary_distance(*labels.shape[1:])
    assert distance == 2
    for image in range(2):
        for label in range(4):
            known = labels[image] < 4
            truth = plain_boundary(labels[image] == label, distance)
            guess = plain_boundary((prediction[image] == label) & known, distance)
            assert found[image, :, label].tolist() == [(truth & guess).sum(), truth.sum(), guess.sum()]


def test_a_perfect_prediction_has_a_boundary_iou_of_1():
    labels = torch.from_numpy(blobs(3))[None]
    assert np.nanmin(iou_of(boundary_counts(labels, labels, 5)[0].numpy())) == 1
