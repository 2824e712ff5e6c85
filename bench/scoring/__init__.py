"""Scores of predictions of a task's test rows."""
