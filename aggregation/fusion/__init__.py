"""Fusion of the logits of several models, read or computed, and the report on what each model adds."""
