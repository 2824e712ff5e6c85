"""Check for optional packages, which the extras of the distribution install.

pyproject.toml lists the packages of each extra. A module imports such a package inside a function
and calls :func:`needed` before the import.
"""

from __future__ import annotations

from importlib.util import find_spec

from bench.errors import BenchError


def needed(*packages: str, extra: str, what: str) -> None:
    """Check that packages are installed, without importing them.

    Args:
        packages: Import names of the packages, such as "jinja2".
        extra: Extra that installs them, such as "pages".
        what: Subject of the error's sentence, such as "a leaderboard's page".

    Raises:
        BenchError: A package is missing.
    """
    missing = [package for package in packages if not _is_installed(package)]
    if missing:
        raise BenchError(
            f"{what} needs {' and '.join(missing)}: pip install 'dream-bench[{extra}]'."
        )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # some import hooks raise instead of returning None
        return False
