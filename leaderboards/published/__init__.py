"""Published figures with their sources, and comparisons with measured values."""
