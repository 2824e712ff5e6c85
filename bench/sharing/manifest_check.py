"""Checks of a manifest of another machine; only fields that are declared as shared are kept.

The identity of the run is dropped, because ``bench run`` would otherwise take the imported result
for its own and not train. Its study and its command are dropped as well.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bench.errors import BenchError
from bench.results.manifest import Manifest
from bench.results.record import Kinds, Record, names

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]{0,99}")
_DEEPEST, _LONGEST, _MOST = 5, 1000, 1000


def claimed_manifest(run: str, content: bytes) -> Manifest:
    """Return the shared fields of a manifest, each of the right type.

    Args:
        run: Name of the run, which the manifest must contain.
        content: Content of the manifest file.

    Raises:
        BenchError: The file is not the manifest of a finished run of this name; the message names
            the field.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise BenchError("its manifest is not JSON.") from None
    if not isinstance(found, dict):
        raise BenchError("its manifest is not a JSON object.")
    kept = {name: found[name] for name in names(Manifest, "shared") if name in found}
    _plain(kept, "manifest", 0)
    manifest = Manifest.from_json(kept).shared()
    _whole(manifest, "")
    if (manifest.id, manifest.status) != (run, "finished"):
        raise BenchError("its manifest belongs to another run, or to one that is not finished.")
    for name in ("created", "finished"):
        try:
            datetime.fromisoformat(getattr(manifest, name)).timestamp()
        except (ValueError, OverflowError):
            raise BenchError(f"its manifest's {name} is not a time.") from None
    return manifest


def _whole(record: Record, where: str) -> None:
    """Raise an error if a record has no value in a required field, or a mapping a wrong value."""
    _flat(where.rstrip("."), record.extra, record.open_to)
    for field in dataclasses.fields(record):
        name, value = where + field.name, getattr(record, field.name)
        if field.metadata.get("needed") and field.name not in record.written:
            raise BenchError(f"its manifest's {name} is missing.")
        if isinstance(value, Record):
            _whole(value, f"{name}.")
        elif field.metadata.get("values"):
            _flat(name, value, field.metadata["values"])


def _flat(where: str, values: Mapping[str, Any], kinds: Kinds) -> None:
    """Check the values of a mapping, and their names, in which MLflow allows few characters."""
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise BenchError(f"its {where} has an invalid name, {ascii(name)[:40]}.")
        if not isinstance(value, kinds):
            raise BenchError(f"its {where}.{name} is {type(value).__name__}.")


def _plain(value: Any, where: str, depth: int) -> None:
    """Raise an error for values that no export writes: control characters, NaN, deep nesting."""
    if isinstance(value, str):
        fault = (
            ""
            if value.isprintable() and len(value) <= _LONGEST
            else "text with control characters, or too long"
        )
    elif isinstance(value, float):
        fault = "" if math.isfinite(value) else "number that is not finite"
    elif isinstance(value, int):
        fault = "" if abs(value) < 1 << 63 else "number too large"
    elif isinstance(value, dict | list):
        fault = (
            ""
            if len(value) <= _MOST and depth < _DEEPEST
            else "too many values, or nested too deeply"
        )
    else:
        fault = ""
    if fault:
        raise BenchError(f"its {where}: {fault}.")
    if isinstance(value, dict):
        for name, item in value.items():
            _plain(name, f"{where}'s names", depth)
            _plain(item, f"{where}.{name}", depth + 1)
    elif isinstance(value, list):
        for item in value:
            _plain(item, where, depth + 1)
