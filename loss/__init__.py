"""Criteria, and the optimizers and schedules that minimise them."""

from loss.class_weights import read_class_weights
from loss.criterion import build_criterion, get_criterion

__all__ = ['build_criterion', 'get_criterion', 'read_class_weights']
