"""Statistics of predictions: levels of confidence, ranking, calibration, reliability, intervals."""
