"""Optuna studies that many workers share, some of which may die."""
