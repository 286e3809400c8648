"""Loops of training and evaluation, and everything that keeps a run: its directory, state, processes, precision."""
