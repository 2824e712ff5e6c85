"""Checks of a manifest of another machine; only fields that are declared as shared are kept.

The identity of the run is dropped, because ``bench run`` would otherwise take the imported result
for its own and not train. Its study and its command are dropped as well.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.errors import BenchError
from bench.results.manifest import PROTOCOLS, Manifest, as_time
from bench.results.record import Kinds, Record, names

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]{0,99}")
_DEEPEST, _LONGEST, _MOST = 5, 1000, 1000
_NAME_LENGTH = 100
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that look like spaces
_CLOCKS = timedelta(days=1)  # two machines may differ by a wrong zone


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
    _check_times(manifest)
    _check_names(manifest)
    return manifest


def _check_times(manifest: Manifest) -> None:
    """Raise an error for times that no run has: not in order, or later than this machine's."""
    created, finished = (as_time(getattr(manifest, name), name) for name in ("created", "finished"))
    if finished < created:
        raise BenchError(f"its manifest's finished is before created, {manifest.created}.")
    if finished > datetime.now(UTC) + _CLOCKS:
        raise BenchError(f"its manifest's finished is in the future, {manifest.finished}.")


def _check_names(manifest: Manifest) -> None:
    """Raise an error for names that a table cannot show, and for an unknown protocol."""
    named = {
        "model.name": manifest.model.name,
        "data.name": manifest.data.name,
        "recipe.name": manifest.recipe.name,
        "preset": manifest.preset,
    }
    for name, text in named.items():
        visible = any(unicodedata.category(c)[0] in "LNPS" and c not in _BLANK for c in text)
        if not visible or text != text.strip() or len(text) > _NAME_LENGTH:
            raise BenchError(
                f"its manifest's {name} is {ascii(text)[:40]}; 1 to {_NAME_LENGTH} visible "
                "characters are needed, without spaces around them."
            )
    if manifest.track not in PROTOCOLS:
        raise BenchError(
            f"its manifest's track is {ascii(manifest.track)[:40]}; "
            f"there are {', '.join(PROTOCOLS)}."
        )


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
