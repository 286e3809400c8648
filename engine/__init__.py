"""The loops of training and evaluation, and what keeps a run: its directory, state, processes and precision."""
