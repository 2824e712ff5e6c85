"""Description of a data set as tables and as a page."""
