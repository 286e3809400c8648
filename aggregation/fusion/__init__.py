"""Logits of several models, read or computed, fused into labels, confidences and scores."""
