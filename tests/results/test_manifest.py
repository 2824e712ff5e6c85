"""The typed manifest: its file is the one that untyped code wrote, and every file comes through.

``manifests.json`` was written by the code before there were types (commit 2943f8f), with volatile
values replaced by :func:`tests.results.neutral.neutral`. A change of it is a change of a format
that users have on their disks, or of a setting of the models and the task that it names.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.console import Console
from bench.errors import BenchError, DivergedError
from bench.results.manifest import CostRecord, Manifest, ModelRecord, RecipeRecord
from bench.results.options import Request
from bench.results.run_folder import RunFolder, read_manifest, read_runs
from bench.runner import external, rescore
from bench.runner.run import execute
from bench.sharing.archive import export_runs, import_runs
from tests.results.neutral import neutral

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("manifests.json").read_text(encoding="utf-8")
)
SMALL = {"model": {"hidden": "12", "blocks": "0"}, "task": {}}


def as_text(value: Any) -> str:
    return json.dumps(value, indent=1)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the manifests that this version writes, by the names of the golden ones."""
    folder = tmp_path_factory.mktemp("golden")
    home, elsewhere = folder / "runs", folder / "imported"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        fitted = run(home, model="kmer-ridge")
        run(
            home,
            model="madlab",
            overrides={**SMALL, "recipe": {"batch_size": "64"}},
            max_steps=3,
            max_seconds=600.0,
            study={"name": "s", "trial": 4},
            tuned={"study": "s", "trials": 9, "device_hours": 0.5, "trial": 4},
        )
        steep = {"batch_size": "64", "lr": "1e30", "clip_norm": "0"}
        with pytest.raises(DivergedError):
            run(home, model="madlab", overrides={**SMALL, "recipe": steep}, max_steps=30)
        record_external(home, home / fitted.id, Path(fitted.data.test_folder))
        export_runs([fitted.id], folder / "results.zip", home)
        import_runs(folder / "results.zip", elsewhere, data=Path(fitted.data.test_folder))
    names = {"kmer": "fitted", "madl": "network", "LegN": "external"}
    found: dict[str, dict[str, Any]] = {}
    for path in [*home.glob("*/manifest.json"), *elsewhere.glob("*/manifest.json")]:
        manifest, name = json.loads(path.read_text()), names[path.parent.name[:4]]
        name = "imported" if path.is_relative_to(elsewhere) else name
        found["failed" if manifest["status"] == "failed" else name] = neutral(manifest)
    return found


def run(home: Path, **asked: Any) -> Manifest:
    request = Request(task="dream", simulate_rows=1000, device="cpu", runs_dir=home, **asked)
    manifest = execute(request, Console(quiet=True), tracked=False)
    assert manifest is not None
    return manifest


def record_external(home: Path, made: Path, test: Path) -> None:
    file = made / "predictions.npy"
    scored = rescore.score_file(file, "dream", folder=test, rows=None, subset_files={})
    parts = (scored.test, scored.predictions, scored.scores)
    external.record_external("LegNet, theirs", "dream", scored.task.card, *parts, home=home)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_file_is_the_one_that_untyped_code_wrote(
    name: str, left: dict[str, dict[str, Any]]
) -> None:
    assert as_text(left[name]) == as_text(GOLDEN[name])


def drop(*paths: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        for path in paths:
            *parts, name = path.split(".")
            place = manifest
            for part in parts:
                place = place[part]
            del place[name]

    return change


def add(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(fields)


def strange(manifest: dict[str, Any]) -> None:
    """The file has fields of a future version, first, last and nested."""
    known = dict(manifest)
    manifest.clear()
    manifest.update({"energy": {"kWh": 0.1}, **known, "extra": 1, "written": ["x"]})
    for part in ("model", "data", "recipe", "device"):
        manifest[part] = {"new": [1, {"a": None}], **manifest[part], "open_to": None}


def backwards(manifest: dict[str, Any]) -> None:
    known = dict(reversed(manifest.items()))
    manifest.clear()
    manifest.update(known)


OLDER = {
    "as it is": add(),
    "without a track": drop("track"),
    "without scores": drop("scored", "metrics"),
    "without costs": drop("cost"),
    "parts of the costs": drop("cost.peak_memory_bytes", "cost.device_hours"),
    "without a request": drop("request", "identity"),
    "one that has just begun": drop("model", "task", "data", "recipe", "plan", "scored", "cost"),
    "without details": drop("model.origin", "data.notes", "device.precision", "task.version"),
    "without the newer fields of the recipe": drop(
        *(f"recipe.{name}" for name in ("weight_decay", "loss", "keep", "precision", "output"))
    ),
    "with notes": add(notes=["it has learned nothing"]),
    "pruned": add(status="pruned", error="behind the others"),
    "interrupted": add(status="interrupted"),
    "nulls": add(plan=None, seed=None, rows_at_once=None, metrics={"test/all/pearson": None}),
    "whole numbers for floats": add(max_seconds=600, target={"mean": 0, "deviation": 1}),
    "imported": add(verified=False),
    "another order": backwards,
    "fields of a version to come": strange,
}


@pytest.mark.parametrize("change", OLDER)
def test_a_manifest_of_any_version_is_written_as_it_was_read(change: str, tmp_path: Path) -> None:
    manifest = json.loads(json.dumps(GOLDEN["network"]))
    manifest |= {"created": "2026-05-04T03:02:01+00:00", "finished": "2026-05-04T03:02:09+00:00"}
    OLDER[change](manifest)
    text = as_text(manifest) + "\n"
    (tmp_path / "manifest.json").write_text(text)
    run = RunFolder.reopen(tmp_path)
    run.save()
    assert (tmp_path / "manifest.json").read_text() == text


def test_fields_are_typed_and_absent_ones_have_defaults() -> None:
    manifest = Manifest.from_json(GOLDEN["network"])
    assert manifest.model.name == "madlab"
    assert manifest.data.flanks == (17, 13)
    assert manifest.recipe.settings["batch_size"] == 64
    assert manifest.plan is not None
    assert manifest.plan.steps == 3
    assert manifest.tuned is not None
    assert manifest.tuned.device_hours == 0.5
    assert manifest.scored.n["all"] == 6895
    begun = Manifest.from_json({"id": "x", "status": "running", "created": "2026"})
    assert (begun.model.name, begun.plan, begun.metrics) == ("", None, {})
    assert (begun.track, begun.verified, begun.cost.sequences_per_second) == ("open", True, None)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"seed": "0"}, "seed is str"),
        ({"seed": True}, "seed is bool"),
        ({"model": None}, "model is NoneType"),
        ({"model": []}, "model is list"),
        ({"model": {"config": 1}}, "model.config is int"),
        ({"plan": {"steps": 0.5}}, "plan.steps is float"),
        ({"compiled": 1}, "compiled is int"),
        ({"data": {"flanks": 17}}, "data.flanks is int"),
        ({"metrics": [0.5]}, "metrics is list"),
        ({"schema": 2}, "schema is 2, and this version of bench reads 1 at most"),
    ],
)
def test_a_damaged_manifest_is_one_line_that_names_the_file_and_the_field(
    fields: dict[str, Any], told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "x-261121-100946-4a21"
    folder.mkdir()
    file = folder / "manifest.json"
    file.write_text(json.dumps({**GOLDEN["network"], **fields}))
    with pytest.raises(BenchError) as raised:
        read_manifest(folder)
    found, damaged = read_runs(tmp_path)
    assert (found, list(damaged)) == ({}, [folder])
    for text in (str(raised.value), damaged[folder].removeprefix("a run is left out: ")):
        assert text.startswith(f"{file} is not a run's manifest: ")
        assert told in text
        assert "\n" not in text


def test_parts_come_together_as_dictionaries_do() -> None:
    first = {"id": "x", "strange": 1, "plan": None, "model": {"name": "a", "config": {}}}
    second = {"seed": None, "strange": 2, "id": "y", "odd": 3, "model": {"name": "b"}}
    merged = Manifest.from_json(first).merged(Manifest.from_json(second))
    assert as_text(merged.to_json()) == as_text(first | second)
    shorter = merged.without("strange", "seed", "nothing")
    expected = {k: v for k, v in (first | second).items() if k not in ("strange", "seed")}
    assert as_text(shorter.to_json()) == as_text(expected)
    assert shorter.seed is None


def test_what_is_given_is_written_and_nothing_else() -> None:
    made = Manifest(
        plan=None,
        model=ModelRecord(name="toy", parameters=None),
        cost=CostRecord(updates=3),
        recipe=RecipeRecord(name="standard", extra={"lr": 0.1}),
    )
    assert as_text(made.changed(seed=0).to_json()) == as_text(
        {
            "plan": None,
            "model": {"name": "toy", "parameters": None},
            "cost": {"updates": 3},
            "recipe": {"name": "standard", "lr": 0.1},
            "seed": 0,
        }
    )


def test_nothing_leaves_a_machine_that_is_not_declared_as_shared() -> None:
    found = json.loads(json.dumps(GOLDEN["network"]))
    strange(found)
    shared = Manifest.from_json({**found, "error": "x", "verified": False}).shared().to_json()
    apart = {"identity", "request", "study"}
    assert list(shared) == [name for name in GOLDEN["network"] if name not in apart]
    assert "test_folder" not in shared["data"]
    assert not {"new", "open_to"} & (shared["model"].keys() | shared["data"].keys())
    assert {*shared["recipe"]} == {*GOLDEN["network"]["recipe"], "new", "open_to"}
    assert shared["scored"] == GOLDEN["network"]["scored"]
