"""The training loop that all models share; it needs torch and NumPy only."""
