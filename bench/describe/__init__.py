"""Describes a data set: a table and a page of what is in it."""
