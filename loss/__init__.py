"""Criteria, and the optimizers and schedules that minimise them."""

from loss.class_weights import read_class_weights, verified_dataset
from loss.criterion import build_criterion, build_validation_criterion, get_criterion, published_objective

__all__ = [
    'build_criterion',
    'build_validation_criterion',
    'get_criterion',
    'published_objective',
    'read_class_weights',
    'verified_dataset',
]
