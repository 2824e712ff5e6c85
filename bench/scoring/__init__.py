"""Scores predictions of a task's test rows."""
