"""The check of a manifest's file: a damaged or foreign file is an error that says what is wrong.

What passes here can be sorted, printed, ranked and sent to MLflow.
"""

from __future__ import annotations

import json
from typing import Any

from bench.errors import BenchError, first_line
from bench.results.manifest import Manifest, as_time

LARGEST = 1 << 24
"""Largest size of a manifest's file, in bytes."""
STATUSES = ("running", "interrupted", "finished", "failed", "pruned")
_DEEPEST = 50  # nested lists and objects; those of a manifest nest about five


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest of a file's content.

    Raises:
        BenchError: The content is not a manifest; the message names the field.
    """
    try:
        found = json.loads(content)
        _check_plain(found, 0)
    except (ValueError, RecursionError) as error:
        reason = first_line(error) if content else "the file is empty"
        raise BenchError(f"{reason.rstrip('.')}.") from None
    if not isinstance(found, dict):
        raise BenchError(f"it holds a {type(found).__name__}.")
    for name in ("id", "status", "created"):
        if not found.get(name):
            raise BenchError(f"it has no '{name}'.")
    manifest = Manifest.from_json(found)
    _check_values(manifest)
    return manifest


def _check_plain(value: Any, depth: int) -> None:
    """Raise an error for values that other programs or a terminal cannot take."""
    if isinstance(value, str):
        value.encode()  # a UnicodeEncodeError is a ValueError
    elif isinstance(value, int):
        if abs(value) >= 1 << 63:
            raise ValueError("it holds a number of more than 64 bits")
    elif isinstance(value, dict | list):
        if depth == _DEEPEST:
            raise ValueError("it is nested too deeply")
        for item in value:
            _check_plain(item, depth + 1)
        for item in value.values() if isinstance(value, dict) else ():
            _check_plain(item, depth + 1)


def _check_values(manifest: Manifest) -> None:
    """Raise an error for a status, a time or a number that no run has."""
    if manifest.status not in STATUSES:
        raise BenchError(f"the manifest's status is {manifest.status!r}.")
    for name in ("created", "finished"):
        if text := getattr(manifest, name):
            as_time(text, name)
    if manifest.status == "finished" and not manifest.finished:
        raise BenchError("the manifest's finished is missing.")
    for name, kinds, values in (
        ("metrics", (int, float, type(None)), manifest.metrics),
        ("cost", (int, float, type(None)), manifest.cost.to_json()),
        ("data.rows", (int, float, type(None)), manifest.data.rows),
        ("environment", (str,), manifest.environment),
    ):
        for key, value in values.items():
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise BenchError(f"the manifest's {name}.{key} is {type(value).__name__}.")
