"""Output of a leaderboard: text, files, a site, and an MLflow run."""
