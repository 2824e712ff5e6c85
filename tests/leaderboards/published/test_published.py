"""Published figures: their printed values, and comparisons with measured values."""

import csv
import json
import os
import shutil
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.cli.program import cli
from bench.config import as_dict, override
from bench.leaderboards.entries import Entry
from bench.leaderboards.output import formats
from bench.leaderboards.published.published import (
    meanings,
    published_comparisons,
    published_of,
    references,
)
from bench.leaderboards.selection import Group
from bench.registry import MODELS, TASKS
from bench.tracking.logged import _flat
from tests.conftest import ROOT
from tests.runner.test_run import assay, bench, elsewhere
from tests.tasks.dream.test_published import by_team
from tests.tasks.dream.test_scoring import KNOWN_R, KNOWN_RHO

__all__ = ["assay", "elsewhere"]

TINY = (
    *("--set", "model.hidden=12", "--set", "model.blocks=0", "--set", "recipe.batch_size=64"),
    *("--max-steps", "3"),
)

EVERY = (*references("dream"), *references("gm12878-atac"))
SHARED = Path(os.environ.get("BENCH_GOLDEN", ROOT.parent / "shared" / "golden")).parent
CELL = {
    "model.head": "pool",
    "model.dim": "128",
    "model.blocks": "8",
    "model.attention_heads": "4",
    "model.k": "5",
    "model.kernel": "15",
    "model.length": "100",
    "model.ffn": "swiglu",
    "model.mask_ratio": "0.05",
    "task.fraction": "0.1",
    "plan.steps_per_epoch": "1250",
    "recipe.batch_size": "512",
    "recipe.passes": "1",
    "recipe.epochs": "20",
    "seed": "0",
}
"""A run like the talk's collapsed model, .0145: 1,250 steps of 512 rows are 640,000 rows."""


def entry(model: str, settings: dict[str, str], track: str, **figures: float) -> Entry:
    tags = {"model": model, "track": track, "verified": "true", "scored.rows": "private"}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    named = {name.replace("__", "/"): value for name, value in figures.items()}
    return Entry("1", "id", "name", "finished", now, tags, settings, named, "")


def held(
    *groups: Group,
    data: str = "dream",
    subsets: bool = False,
    remarks: dict[str, str] | None = None,
) -> list[Any]:
    rows = [
        SimpleNamespace(group=group, newest=group.entries[0]) for group in groups
    ]  # the attributes that are read from the rows
    board: Any = SimpleNamespace(
        data=data,
        rows=rows,
        part="private" if data == "dream" else "all",
        primary="pearson_score",
        second="spearman_score",
        remarks=tuple((remarks or {}).values()),
        test=SimpleNamespace(remarks=remarks or {}),
    )
    return list(published_comparisons(board, subsets=subsets))


def cell(**changes: Any) -> Any:
    """Return the comparison of the talk's collapsed model with a run that has other settings."""
    figures = {"best__validation__pearson": 0.7, "cost__updates": 25_000.0}
    figures |= {k: changes.pop(k) for k in list(changes) if "__" in k}
    track = changes.pop("track", "standard")
    settings = CELL | {name.replace("_of_", "."): value for name, value in changes.items()}
    group = Group("mine", (entry("proformer", settings, track, **figures),))
    lines = [line for line in held(group) if line.reference.value == 0.0145]
    assert len(lines) <= 1
    return lines[0] if lines else None


def test_the_talks_cells_are_those_of_the_tables_cut_from_its_slides() -> None:
    path = SHARED / "talk_tables.csv"
    if not path.is_file():
        pytest.skip("talk_tables.csv: set BENCH_GOLDEN to a folder beside it")
    with path.open(encoding="utf-8") as file:
        wanted = Counter(
            (
                row["task"].split()[0],
                *(row[name] for name in ("dim", "attention_heads", "blocks", "head")),
                row["expression_heads"],
                float(row["pearson"]),
            )
            for row in csv.DictReader(file)
        )
    names = ("dim", "attention_heads", "blocks", "head", "expression_heads")
    found = Counter(
        (r.task, *(r.setting.get(f"model.{name}", "") for name in names), r.value)
        for r in EVERY
        if r.variant == "ablation"
    )
    assert found == wanted
    assert sum(found.values()) == 120
    slides = {"model.k": "5", "model.mask_ratio": "0.05"}  # "K-mer of 5", "Masking 5%", on both
    cells = [r.setting for r in EVERY if r.variant == "ablation"]
    assert all(slides.items() <= setting.items() for setting in cells)


def values(model: str, figure: str) -> list[float]:
    return [r.value for r in published_of(model) if r.figure == figure]


def test_what_was_published_of_whole_models_is_as_printed() -> None:
    assert values("proformer", "validation/pearson") == [0.7501]
    exact, *talk = values("proformer", "test/pearson_score")
    assert (exact, talk) == (0.765725584488155, [0.766, 0.765, 0.781, 0.765])
    assert values("proformer", "test/spearman_score")[1:] == [0.819, 0.817, 0.827, 0.810]
    assert values("proformer", "test/all/pearson squared")[1:] == [0.918, 0.921, 0.926, 0.929]
    assert values("proformer", "test/all/spearman")[1:] == [0.961, 0.964, 0.965, 0.967]
    assert {r.training_rows for r in published_of("madlab")} == {4_703_150}  # the report's n
    assert values("madlab", "validation/mse") == [0.4494]
    assert values("madlab", "validation/r2") == [0.5608]
    assert [round(r**0.5, 3) for r in values("madlab", "validation/pearson squared")] == [0.756]
    public = [r for r in published_of("legnet") if r.rows == "public"]
    assert [r.value for r in public] == [0.829, 0.860, 0.952, 0.979]


def test_the_final_ranking_is_the_organisers_table_to_all_digits(published_results: Path) -> None:
    wanted = by_team(published_results / "private_scores_by_subset.csv")
    names = {"pearson squared": "pearson", "spearman": "spearman"}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for r in EVERY:
        if r.final:
            team = r.variant.removeprefix("final ranking (").removesuffix(")")
            metric = names[f] if (f := r.figure.rpartition("/")[2]) in names else f.split("_")[0]
            found.setdefault((metric, team), {})[r.subset or "score"] = r.value
    assert found == wanted
    assert sum(map(len, found.values())) == 120


def test_the_final_ranking_has_the_target_of_the_scores_known_answer() -> None:
    """What the scorer's own test takes for "a winning submission" is this ranking's Proformer."""
    ours = {r.figure: r.value for r in published_of("proformer") if r.final}
    assert ours["test/pearson_score"] == pytest.approx(0.7657255844881551, abs=1e-15)
    assert ours["test/spearman_score"] == pytest.approx(0.8228750904214907, abs=1e-15)
    for name, r in KNOWN_R.items():
        assert ours[f"test/{name}/pearson squared"] == pytest.approx(r**2, abs=2e-15)
        assert ours[f"test/{name}/spearman"] == pytest.approx(KNOWN_RHO[name], abs=2e-15)


def test_only_one_figure_of_a_model_is_the_one_of_its_final_ranking() -> None:
    finals = [(r.task, r.model, r.figure, r.rows) for r in EVERY if r.final]
    assert len(set(finals)) == len(finals)
    named = {r.model for r in EVERY if r.final}
    assert named == {"legnet", "deepgxp", "proformer", "camformer", "wztr", "vaishnav-deboer"}


def test_every_figure_says_where_it_is_printed_and_what_keeps_it_apart() -> None:
    for reference in EVERY:
        assert " at " in reference.source  # a pinned address
        assert reference.page
        assert reference.rows
        assert set(reference.reason) <= meanings().keys()
        assert reference.seeds == 1 or "one-seed" in reference.reason


@cache
def size(model: str) -> int:
    """Return the number of parameters of a model at its default settings."""
    kind = MODELS.get(model)
    config = kind.Config()
    built = kind(config, kind.layout(config).positions(110, (17, 13)))  # a promoter of dream
    return sum(p.numel() for p in built.parameters())


def test_settings_are_ours_and_spelled_as_runs_log_them() -> None:
    known = MODELS.places()
    named = {(r.model, r.task, *pair) for r in EVERY for pair in r.setting.items()}
    for model, task, name, text in sorted(named):
        section, _, field = name.partition(".")
        if name == "track":
            assert text in ("standard", "paper")
        elif name == "parameters":
            assert model not in known or int(text) == size(model)
        else:
            kind = MODELS.get(model).Config if section == "model" else TASKS.get(task).Options
            settings = as_dict(override(kind(), {field: text}, section=section))
            assert str(_flat(section, settings)[name]) == text


def test_a_run_with_a_cells_settings_is_held_against_it() -> None:
    line = cell()
    assert (line.label, line.measured, line.reason) == ("mine", 0.7, ("one-seed",))
    assert line.difference == pytest.approx(0.6855)
    assert line.source.endswith("rsgdream_talk.pdf, ablation tables")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"track": "open"}, "other-recipe"),
        ({"task_of_fraction": "1.0"}, "other-training-rows"),
        ({"plan_of_steps_per_epoch": "800", "cost__updates": 16_000.0}, "other-training-rows"),
        ({"cost__updates": 24_999.0}, "other-budget"),
        ({"best__validation__pearson": float("nan")}, "other-metric"),
    ],
)
def test_what_sets_a_run_apart_from_a_cell_is_told_by_a_code(
    changes: dict[str, Any], code: str
) -> None:
    assert cell(**changes).reason == ("one-seed", code)


def test_a_run_of_another_size_is_not_held_against_a_cell() -> None:
    assert cell(model_of_dim="64") is None
    assert cell(model_of_k="10") is None


@pytest.mark.parametrize(
    ("row", "settings", "scores"),
    [
        (1, {"head": "pool", "mask_ratio": "0.0"}, (0.766, 0.819, 0.918, 0.961)),
        (2, {"head": "multi", "expression_heads": "1"}, (0.765, 0.817, 0.921, 0.964)),
        (3, {"head": "multi", "expression_heads": "32"}, (0.781, 0.827, 0.926, 0.965)),
        (4, {"head": "multi", "expression_heads": "32", "ffn": "glu"}, (0.765, 0.81, 0.929, 0.967)),
        (0, {"head": "pool"}, ()),  # pooled, but masks are filled: on no row of the slide
        (0, {"head": "multi", "expression_heads": "8"}, ()),
    ],
)
def test_a_run_is_held_against_its_row_of_the_four_row_ablation_and_no_other(
    row: int, settings: dict[str, str], scores: tuple[float, ...]
) -> None:
    """Settings of the slide: pooling or mask filling (X), the heads, and the asterisk."""
    named = {f"model.{name}": value for name, value in settings.items()}
    run = {"model.ffn": "swiglu", "model.mask_ratio": "0.05", "model.dim": "64", **named}
    lines = held(Group("mine", (entry("proformer", run, "standard"),)))
    mine = [line for line in lines if line.label == "mine"]
    assert tuple(line.reference.value for line in mine) == scores
    assert {line.reference.variant[:10] for line in mine} <= {f"row {row} of 4"}
    assert all({"unknown-size", "one-seed"} <= set(line.reason) for line in mine)


def test_a_submission_is_held_against_the_best_result_of_its_model() -> None:
    best = Group("best", (entry("madlab", {}, "paper", best__validation__mse=0.5),))
    other = Group("other", (entry("madlab", {}, "paper", best__validation__mse=0.4),))
    mse, r2, squared = (line for line in held(best, other) if line.reference.model == "madlab")
    assert mse.label == "madlab, as submitted"
    assert mse.difference == pytest.approx(0.0506)
    assert {"other-settings", "not-trained-transformer", "other-rows"} <= set(mse.reason)
    assert "other-metric" in r2.reason
    assert "other-metric" in squared.reason


def test_squared_figures_are_held_against_the_mean_of_squares() -> None:
    runs = tuple(entry("proformer", {}, "paper", test__all__pearson=r) for r in (0.8, 0.6))
    lines = held(Group("p", runs))
    final, line, *_ = (x for x in lines if x.reference.figure == "test/all/pearson squared")
    assert line.measured == final.measured == pytest.approx(0.5)
    assert line.reason == ("unknown-size", "one-seed", "other-settings")
    assert final.label == "proformer, final ranking (Unlock_DNA)"
    assert final.reason == ("one-seed", "other-settings")


SCORES = ["test/pearson_score", "test/spearman_score"]
SYSTEMS = ["legnet", "deepgxp", "proformer", "camformer", "wztr", "vaishnav-deboer"]


def test_the_final_ranking_stands_beside_every_board_of_its_rows() -> None:
    lines = held()
    assert [line.reference.model for line in lines[::2]] == SYSTEMS
    assert [line.reference.figure for line in lines] == SCORES * 6
    assert all(line.reason == ("one-seed", "no-run") for line in lines)
    assert all(line.measured != line.measured for line in lines)
    assert len(held(subsets=True)) == 120
    assert held(data="dream-simulated") == []


def test_a_board_is_not_held_against_figures_of_other_rows() -> None:
    """The winner's public figures are on its card only."""
    winner = Group("mine", (entry("legnet", {}, "paper", test__pearson_score=0.8),))
    lines = [line for line in held(winner, subsets=True) if line.reference.model == "legnet"]
    assert {line.reference.rows for line in lines} == {"private"}
    assert len(lines) == 20


def test_a_network_of_the_published_size_is_held_against_its_final_ranking() -> None:
    plan = {"plan.steps_per_epoch": "6581", "recipe.batch_size": "1024", "recipe.passes": "1"}
    plan |= {"recipe.epochs": "10"}
    shown = {"test__pearson_score": 0.82, "cost__updates": 65_810.0}
    same = Group("same", (entry("legnet", plan, "paper", cost__parameters=1852846.0, **shown),))
    line = next(line for line in held(same) if line.reference.model == "legnet")
    assert (line.label, line.reason) == ("same", ("one-seed",))
    assert line.difference == pytest.approx(0.82 - 0.818393943278227)
    short = Group("short", (entry("legnet", plan, "standard", cost__parameters=1852846.0),))
    line = next(line for line in held(short) if line.reference.model == "legnet")
    assert line.reason == ("one-seed", "other-recipe", "other-metric")
    wide = Group("wide", (entry("legnet", plan, "paper", cost__parameters=2e6, **shown),))
    line = next(line for line in held(wide) if line.reference.model == "legnet")
    assert line.label == "legnet, final ranking (autosome.org)"
    assert line.reason == ("one-seed", "other-settings")


def test_another_list_of_pairs_and_another_programs_predictions_are_told_by_codes() -> None:
    tags = {"model": "legnet", "verified": "false"}
    known = {"test/pearson_score": 0.8, "test/SNVs/spearman": 0.7, "test/yeast/spearman": 0.9}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    theirs = Entry("1", "id", "name", "finished", now, tags, {}, known, "")
    lines = held(Group("theirs", (theirs,)), subsets=True, remarks={"SNVs": "reconstructed"})
    reasons = {line.reference.figure: line.reason for line in lines if line.label == "theirs"}
    assert reasons["test/pearson_score"] == ("one-seed", "other-list", "unverified")
    assert reasons["test/SNVs/spearman"] == ("one-seed", "other-list", "unverified")
    assert reasons["test/yeast/spearman"] == ("one-seed", "unverified")


def test_the_table_numbers_its_sources_and_explains_its_codes() -> None:
    headings, rows, notes = formats.published_table(held())
    assert headings == [
        *("published and measured", "metric", "measured", "published", "difference"),
        *("reason", "source"),
    ]
    assert rows[4] == [
        *("proformer, final ranking (Unlock_DNA)", "test/pearson_score", "-", "0.7657", "-"),
        *("one-seed no-run", "[1]"),
    ]
    assert {note.split(":")[0] for note in notes[:-1]} == {"no-run", "one-seed"}
    assert notes[-1].startswith("[1] github.com/gautammalik-git/Camformer at ")


def test_cards_show_what_was_published(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["models", "madlab"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "there called Pearson" in shown
    assert "0.5719" in shown
    cli.main(["tasks", "gm12878-atac"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "figure: test/all/pearson" in shown
    assert "0.4964" in shown


def test_a_leaderboard_in_every_form_ends_with_what_was_published(
    assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(assay, "dream", ignore=shutil.ignore_patterns("simulated.json"))
    bench("run", "--model", "madlab", "--task", "dream", "--data", str(data), *TINY)
    board = ("leaderboard", "--task", "dream", "--data", str(data), "--resamples", "100")
    capsys.readouterr()
    bench(*board, "--format", "json")
    lines = json.loads(capsys.readouterr().out)["published"]
    finals, mine = lines[:120], lines[120:]
    assert {line["model"].partition(",")[0] for line in finals} == set(SYSTEMS)
    assert finals[40]["published"] == 0.765725584488155
    assert [line["model"] for line in mine] == ["madlab, as submitted"] * 3
    (run,) = Path("runs").glob("*/manifest.json")
    measured = json.loads(run.read_text())["metrics"]
    assert mine[0]["measured"] == pytest.approx(measured["validation/mse"])
    assert mine[2]["measured"] == pytest.approx(measured["validation/pearson"] ** 2)
    told = {"other-settings", "not-trained-transformer", "other-recipe", "other-budget"}
    assert told <= set(mine[2]["reason"].split())
    for form in ("table", "md"):
        bench(*board, "--format", form)
        shown = capsys.readouterr().out
        assert "published and measured" in shown
        assert "other-budget: fewer steps than the recipe's" in shown
        assert "proformer, final ranking (Unlock_DNA)" in shown
        assert "[1] github.com/gautammalik-git/Camformer" in shown
