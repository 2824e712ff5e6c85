"""The contract of models and tasks, as a suite of checks that pytest runs: ``bench check``."""
