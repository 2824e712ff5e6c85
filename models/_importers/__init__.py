"""Names and axes of the weights that the authors of a model published, one file a model."""
