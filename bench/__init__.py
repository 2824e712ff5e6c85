"""Train, score and honestly rank networks that read DNA and predict a number.

Importing this package loads nothing heavy: torch, MLflow, Optuna, polars and SciPy are imported
where they are used, so ``bench --help`` answers at once.
"""

from bench.errors import BenchError
from bench.version import __version__

__all__ = ["BenchError", "__version__"]
