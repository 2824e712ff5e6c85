"""Selection of the runs that rank together: cases worked out by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.errors import BenchError
from bench.leaderboards.entries import Entry
from bench.leaderboards.selection import Filters, Selection, select
from bench.scoring.comparability import Comparability

LOCK = {
    "task.version": "2",
    "scored.version": "1",
    "scored.rows": "private",
    "scored.test": "t",
    "scored.subsets": "s",
}


def entry(id_: str, model: str = "net", seed: int = 0, **changes: Any) -> Entry:
    settings = {"seed": str(seed), "plan.steps": id_, **changes.pop("settings", {})}
    status, tags = changes.pop("status", "finished"), changes.pop("tags", {})
    known = {"model": model, "verified": "true", "track": "standard", "fingerprint": "f"}
    return Entry(
        run=f"mlflow-{id_}",
        id=id_,
        name=model,
        status=status,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        tags={**LOCK, **known, **tags},
        settings=settings,
        figures={},
        artifacts="",
    )


def chosen(*entries: Entry, **filters: Any) -> Selection:
    here = replace(Comparability.from_tags(LOCK), training=None, trained_here=True)
    return select(entries, here, Filters(**filters))


def grouped(selection: Selection) -> dict[str, list[str]]:
    return {group.label: [e.id for e in group.entries] for group in selection.groups}


def test_seeds_of_one_configuration_are_one_model_and_labels_say_what_differs() -> None:
    found = chosen(
        entry("a", seed=0, settings={"model.dim": "8"}),
        entry("b", seed=1, settings={"model.dim": "8"}),
        entry("c", seed=0, settings={"model.dim": "16"}),
        entry("d", "other", settings={"model.dim": "8"}),
    )
    assert grouped(found) == {"net dim=8": ["a", "b"], "net dim=16": ["c"], "other": ["d"]}


def test_the_newest_of_runs_that_are_the_same_stands_for_them() -> None:
    assert grouped(chosen(entry("new"), entry("old"))) == {"net": ["new"]}


@pytest.mark.parametrize("name", [*LOCK, "fingerprint"])
def test_what_disagrees_is_excluded_and_says_in_what(name: str) -> None:
    odd = entry("odd", seed=9, tags={name: "another"})
    found = chosen(odd, entry("a"), entry("b", seed=1))
    assert grouped(found) == {"net": ["a", "b"]}
    ((excluded, reason),) = found.excluded
    assert excluded.id == "odd"
    assert reason.startswith(("other", "another"))


def test_training_rows_are_those_of_most_runs_or_those_that_are_asked_for() -> None:
    few = entry("few", seed=3, tags={"fingerprint": "abc"})
    runs = (few, entry("a"), entry("b", seed=1))
    assert chosen(*runs).fingerprint == "f"
    assert grouped(chosen(*runs, fingerprint="ab")) == {"net": ["few"]}
    with pytest.raises(BenchError, match=r"^fingerprint x: 0 fit\. There are: abc, f"):
        chosen(*runs, fingerprint="x")


def test_an_external_result_ranks_alone_and_its_training_rows_do_not_matter() -> None:
    odd = {"verified": "false", "fingerprint": "unknown"}
    found = chosen(entry("a"), entry("x", "theirs", tags=odd), entry("y", "theirs", tags=odd))
    assert sorted(map(len, grouped(found).values())) == [1, 1, 1]
    assert not found.excluded


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_what_is_not_finished_never_ranks_and_is_counted(status: str) -> None:
    found = chosen(entry("a"), entry("b", seed=1, status=status))
    assert grouped(found) == {"net": ["a"]}
    assert found.unfinished == {status: 1}


def test_a_run_that_was_not_scored_does_not_rank() -> None:
    unscored = entry("b", seed=1)
    tags = {name: value for name, value in unscored.tags.items() if name not in LOCK}
    found = chosen(entry("a"), replace(unscored, tags=tags))
    assert grouped(found) == {"net": ["a"]}


def test_filters_choose_models_tracks_and_groups() -> None:
    runs = (
        entry("a", settings={"model.dim": "8", "model.k": "3"}),
        entry("b", seed=1, settings={"model.dim": "8", "model.k": "5"}),
        entry("c", "other", tags={"track": "paper"}),
    )
    assert grouped(chosen(*runs, track="paper")) == {"other": ["c"]}
    assert grouped(chosen(*runs, models=("other",))) == {"other": ["c"]}
    assert grouped(chosen(*runs, group_by=("model.dim",)))["net"] == ["a", "b"]
    with pytest.raises(BenchError, match=r"no results of model .nat.\. There are: net, other"):
        chosen(*runs, models=("nat",))


def test_labels_that_are_cut_alike_are_numbered() -> None:
    runs = [entry(str(n), settings={"model.a": "x" * 80 + str(n)}) for n in range(2)]
    labels = list(grouped(chosen(*runs)))
    assert len(set(labels)) == 2
    assert labels[1].endswith("(2)")
