"""Figures that others published, with their sources."""
