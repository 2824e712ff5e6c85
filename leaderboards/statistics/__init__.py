"""Intervals and ranks: one bootstrap of the test rows for all runs."""
