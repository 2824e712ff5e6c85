"""Sequences, targets and tables as arrays; needs NumPy, and polars only to read text."""
