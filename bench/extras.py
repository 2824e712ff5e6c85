"""Check for packages that only some commands need, and that an extra of the distribution installs.

Which package belongs to which extra is written in pyproject.toml. A file that imports such a
package does so inside a function, and calls :func:`needed` before.
"""

from __future__ import annotations

from importlib.util import find_spec

from bench.errors import BenchError


def needed(*packages: str, extra: str, what: str) -> None:
    """Check that packages are installed; none of them is imported.

    Args:
        packages: Names as they are imported, such as "jinja2".
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
    except ModuleNotFoundError:  # an import hook may say so by raising
        return False
