"""Statistics of predictions: intervals, ranking, calibration, reliability, reports."""
