"""Results as one file: written here, checked and scored again elsewhere."""
