"""The command line of a run, as somebody would type it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

_OPTIONS = {
    "model": "--model",
    "task": "--task",
    "recipe": "--recipe",
    "preset": "--preset",
    "data": "--data",
    "test_data": "--test-data",
    "simulate_rows": "--rows",
    "fraction": "--fraction",
    "seed": "--seed",
    "epochs": "--epochs",
    "max_steps": "--max-steps",
}


def run_line(asked: Mapping[str, Any], plugins: Sequence[str]) -> str:
    """Spell the command line that runs a request.

    Args:
        asked: What :meth:`bench.runner.request.Request.as_json` returns, and manifests keep.
        plugins: Files that define the model or the task.

    Raises:
        KeyError: A field is missing, as in what an older version asked for.
    """
    words = ["bench", "run"]
    asked = {"fraction": None, **asked}  # which earlier versions did not know
    for name, option in _OPTIONS.items():
        if asked[name] is not None:
            words += [option, str(asked[name])]
    words += ["--simulate"] * (asked["simulate_rows"] is not None)
    for section, values in asked["overrides"].items():
        for field, value in values.items():
            words += ["--set", f"{section}.{field}={value}"]
    if asked["max_seconds"] is not None:
        words += ["--max-time", f"{asked['max_seconds'] / 60:g}"]
    words += ["--compile"] * asked["compiled"]
    for file in plugins:
        words += ["--plugin", file]
    return shlex.join(words)
