"""Statistics of a leaderboard: one bootstrap of the test rows for all runs."""
