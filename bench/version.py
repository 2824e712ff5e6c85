"""Version of this program, in a file without imports."""

__version__ = "0.1.0"
