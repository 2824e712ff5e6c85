"""A leaderboard as text, as files, as a site, as an MLflow run."""
