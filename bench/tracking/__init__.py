"""Sends run folders to MLflow."""
