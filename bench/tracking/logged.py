"""The values of a run that are sent to MLflow: tags, settings and metrics, by name.

A leaderboard reads the same values from run folders, so that a result is the same with and without
a tracking server.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bench.config import spell
from bench.results.manifest import Manifest
from bench.scoring.comparability import Comparability


def title(manifest: Manifest) -> str:
    """Return the name of a run on MLflow's pages."""
    seed = "" if manifest.seed is None else f" seed {manifest.seed}"
    return f"{manifest.model.name} {manifest.preset}{seed}"


def tags(manifest: Manifest) -> dict[str, str]:
    """Return the tags of a run; the tags of its scores only if it has any."""
    found = {
        "bench.id": manifest.id,
        "model": manifest.model.name,
        "task": manifest.task.name,
        "recipe": manifest.recipe.name,
        "preset": manifest.preset,
        "track": manifest.track,
        "test_folder": manifest.data.test_folder,
        **Comparability.from_manifest(manifest).tags(),
        "verified": str(manifest.verified).lower(),
        "device": manifest.device.name or manifest.device.kind,
        **{f"version.{name}": version for name, version in manifest.environment.items()},
    }
    if members := manifest.model.members:
        found["ensemble"] = f"{len(members)} runs: {', '.join(members)}"
    if manifest.model.source:
        found["source"] = manifest.model.source
    if manifest.weights is not None:
        found |= {"weights": manifest.weights.file, "weights.sha256": manifest.weights.sha256}
    if manifest.tuned is not None:
        found |= {f"tuned.{name}": str(v) for name, v in manifest.tuned.to_json().items()}
    return found


def setting_values(manifest: Manifest) -> dict[str, str]:
    """Return every setting of a run by ``section.field``, and its seed and preset."""
    values = {
        **_flat("model", manifest.model.config),
        **_flat("recipe", manifest.recipe.to_json()),
        **_flat("task", manifest.data.options),
        **_flat("plan", manifest.plan.to_json() if manifest.plan is not None else {}),
        **({} if manifest.seed is None else {"seed": manifest.seed}),
        "preset": manifest.preset,
    }
    return {name: str(value) for name, value in values.items()}


def outcome(manifest: Manifest) -> dict[str, float]:
    """Return the scores and the costs of a finished run, each under one name."""
    values = {
        **{
            f"best/{name}" if name.startswith("validation/") else name: value
            for name, value in manifest.metrics.items()
        },
        **{f"cost/{name}": value for name, value in manifest.cost.to_json().items()},
        "cost/parameters": manifest.model.parameters,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def milliseconds(iso_time: str) -> int:
    """Return a time as MLflow stores it (milliseconds since 1970)."""
    return round(datetime.fromisoformat(iso_time).timestamp() * 1000)


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": _spelled(value) for name, value in values.items()}


def _spelled(value: Any) -> Any:
    """Return a list of numbers as the text of ``--set``; any other value unchanged."""
    return spell(tuple(value)) if isinstance(value, list | tuple) else value
