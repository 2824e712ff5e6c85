"""Sending of run folders to MLflow."""
