"""The command line of a run, from its manifest; needs no torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

_OPTIONS = {
    "model": "--model",
    "task": "--task",
    "recipe": "--recipe",
    "preset": "--preset",
    "data": "--data",
    "test_data": "--test-data",
    "simulate_rows": "--rows",
    "seed": "--seed",
    "epochs": "--epochs",
    "max_steps": "--max-steps",
}


def command(manifest: Mapping[str, Any]) -> str:
    """Spell the command that repeats a run; empty where its manifest does not say what was asked.

    Args:
        manifest: As a run folder has it.
    """
    try:
        return shlex.join(_words(manifest["request"], str(manifest["model"]["origin"])))
    except (KeyError, TypeError, AttributeError):  # an older version's, or another program's
        return ""


def _words(asked: Mapping[str, Any], origin: str) -> list[str]:
    words = ["bench", "run"]
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
    words += ["--plugin", origin] * origin.endswith(".py")
    return words
