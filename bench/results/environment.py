"""The software environment of a result: versions, commit and platform."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from bench.version import __version__


def describe_environment() -> dict[str, str]:
    """Return package versions, the platform and, in a git checkout, the commit of this program."""
    versions = {"bench": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "scikit-learn"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {**versions, "platform": platform.platform(), **_commit()}


def _commit() -> dict[str, str]:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed package may lie inside another repository
        return {}
    try:
        head, changed = (
            subprocess.run(
                ["git", "-C", str(root), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": head + ("+changes" if changed else "")}
