"""Takes a manifest of another machine field by field, and nothing that is not declared as shared.

Left behind are a run's identity (or ``bench run`` would take the result for its own and not train),
its study, and its command.
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
    """Return what is kept of a manifest, every field of its type.

    Args:
        run: The run's name, which the manifest has to repeat.
        content: The file.

    Raises:
        BenchError: It is no manifest of a finished run of that name; the field is named.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise BenchError("its manifest is not JSON.") from None
    if not isinstance(found, dict):
        raise BenchError("its manifest is not one.")
    kept = {name: found[name] for name in names(Manifest, "shared") if name in found}
    _plain(kept, "manifest", 0)
    manifest = Manifest.from_json(kept).shared()
    _whole(manifest, "")
    if (manifest.id, manifest.status) != (run, "finished"):
        raise BenchError("its manifest is another run's, or of one that is not finished.")
    for name in ("created", "finished"):
        try:
            datetime.fromisoformat(getattr(manifest, name)).timestamp()
        except (ValueError, OverflowError):
            raise BenchError(f"its manifest's {name} is no time.") from None
    return manifest


def _whole(record: Record, where: str) -> None:
    """Refuse a record that lacks what is needed, or has a value that its mappings may not have."""
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
    """Check values and their names, which go to MLflow: it takes few letters in one."""
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise BenchError(f"its {where} has an odd name, {ascii(name)[:40]}.")
        if not isinstance(value, kinds):
            raise BenchError(f"its {where}.{name} is {type(value).__name__}.")


def _plain(value: Any, where: str, depth: int) -> None:
    """Refuse what no export writes: text that moves a cursor, numbers that are none, mazes."""
    if isinstance(value, str):
        fault = "" if value.isprintable() and len(value) <= _LONGEST else "odd or long text"
    elif isinstance(value, float):
        fault = "" if math.isfinite(value) else "not finite"
    elif isinstance(value, int):
        fault = "" if abs(value) < 1 << 63 else "too large"
    elif isinstance(value, dict | list):
        fault = "" if len(value) <= _MOST and depth < _DEEPEST else "too large"
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
