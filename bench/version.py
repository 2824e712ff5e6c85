"""The version of this program, in a file that imports nothing."""

__version__ = "0.1.0"
