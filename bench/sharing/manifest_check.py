"""Takes a manifest of another machine field by field, and nothing that is not listed here.

Left behind are a run's identity (or ``bench run`` would take the result for its own and not train),
its study, and its command.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from types import NoneType
from typing import Any

from bench.errors import BenchError

_KEPT = (
    *("schema", "id", "status", "created", "finished", "model", "task", "data", "recipe", "plan"),
    *("preset", "track", "max_seconds", "compiled", "tested", "seed", "tuned", "device", "target"),
    *("rows_at_once", "environment", "best_step", "cost", "metrics", "scored"),
)
_NUMBER = (int, float, NoneType)
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("id", "status", "created", "finished", "preset", "track"), str),
    **dict.fromkeys(("model.name", "task.name", "data.name", "recipe.name", "device.kind"), str),
    **dict.fromkeys(("scored.rows", "scored.test", "scored.subsets"), str),
    **dict.fromkeys(("model.config", "data.options", "data.rows", "data.notes"), dict),
    **dict.fromkeys(("environment", "cost", "metrics"), dict),
    **dict.fromkeys(("task.version", "scored.version"), int),
    "data.fingerprint": (str, NoneType),
    "device.name": (str, NoneType),
    "model.parameters": (int, NoneType),
    "plan": (dict, NoneType),
    "tuned": (dict, NoneType),
    "seed": (int, NoneType),
}
"""What the types of fields have to be; those of :data:`_OPTIONAL` may be absent."""
_FLAT: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("model.config", "recipe", "tuned"), (*_NUMBER, str, bool, list)),
    **dict.fromkeys(("data.options", "plan"), (*_NUMBER, str, bool)),
    **dict.fromkeys(("cost", "metrics", "data.rows"), _NUMBER),
    "environment": (str,),
}
"""What their values are; their names go to MLflow, which takes few letters in one."""
_OPTIONAL = {"track", "cost", "device.name", "plan", "tuned"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]{0,99}")
_DEEPEST, _LONGEST, _MOST = 5, 1000, 1000


def claimed_manifest(run: str, content: bytes) -> dict[str, Any]:
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
    manifest = {name: found[name] for name in _KEPT if name in found}
    _plain(manifest, "manifest", 0)
    for field, kind in _FIELDS.items():
        _typed(manifest, field, kind)
    for field, kinds in _FLAT.items():
        values = _value(manifest, field)
        for name, value in values.items() if isinstance(values, dict) else ():
            if not _NAME.fullmatch(name):
                raise BenchError(f"its {field} has an odd name, {ascii(name)[:40]}.")
            if not isinstance(value, kinds):
                raise BenchError(f"its {field}.{name} is {type(value).__name__}.")
    if (manifest["id"], manifest["status"]) != (run, "finished"):
        raise BenchError("its manifest is another run's, or of one that is not finished.")
    for name in ("created", "finished"):
        try:
            datetime.fromisoformat(manifest[name]).timestamp()
        except (ValueError, OverflowError):
            raise BenchError(f"its manifest's {name} is no time.") from None
    return manifest


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


def _typed(manifest: dict[str, Any], field: str, kind: type | tuple[type, ...]) -> None:
    value = _value(manifest, field)
    if value is ... and field in _OPTIONAL:
        return
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        found = "missing" if value is ... else f"{type(value).__name__}"
        raise BenchError(f"its manifest's {field} is {found}.")


def _value(manifest: dict[str, Any], field: str) -> Any:
    """Look a field up by its path; an ellipsis where there is none."""
    value: Any = manifest
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            return ...
        value = value[name]
    return value
