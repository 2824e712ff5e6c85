"""Sequences, targets and tables as NumPy arrays; only reading text needs polars."""
