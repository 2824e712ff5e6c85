"""Cards of runs: the repeating command, parsed by the command line itself, and the facts."""

import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest

from bench.cli.run_options import make_request
from bench.cli.training import run
from bench.leaderboards.output.site.charts import front
from bench.leaderboards.output.site.curves import read_curves
from bench.leaderboards.output.site.run_card import cards, file_name, repeating
from bench.leaderboards.selection import Group
from bench.results.manifest import Manifest
from bench.results.options import Request
from tests.leaderboards.boards import board, entry, files

REQUESTS = [
    Request(model="toy", task="dream"),
    Request(
        model="proformer",
        task="my table.tsv",
        recipe="paper",
        preset="smoke",
        overrides={"model": {"dim": "8"}, "task": {}, "recipe": {"lr": "1e-3"}},
        data=Path("/data with spaces; rm -rf x"),
        test_data=Path("/other"),
        fraction=0.25,
        seed=3,
        epochs=2,
        max_steps=7,
        max_seconds=90.0,
        compiled=True,
    ),
    Request(model="toy", task="dream", simulate_rows=5000),
    Request(model="toy", task="dream", weights=Path("/their weights.h5")),
]


def manifest(request: Request, origin: str = "built in") -> dict[str, Any]:
    return {"request": request.as_json(), "model": {"origin": origin}}


@pytest.mark.parametrize("asked", REQUESTS)
def test_the_command_asks_for_the_same(asked: Request) -> None:
    words = shlex.split(repeating(Manifest.from_json(manifest(asked))))
    assert words[:2] == ["bench", "run"]
    typed = run.make_context("run", words[2:]).params
    for name in ("devices", "resume", "no_tracking", "report", "silent", "as_json", "seeds"):
        del typed[name]
    again = make_request(**typed).as_json()
    overrides = {"model": {}, "task": {}, "recipe": {}, **asked.overrides}
    assert again == {**asked.as_json(), "overrides": overrides}


def test_what_an_earlier_version_was_asked_for_still_has_a_command() -> None:
    made = manifest(REQUESTS[1])
    now = repeating(Manifest.from_json(made))
    del made["request"]["fraction"]
    assert repeating(Manifest.from_json(made)) == now.replace(" --fraction 0.25", "") != now


def test_a_file_of_ones_own_goes_with_the_command() -> None:
    told = Manifest.from_json(manifest(REQUESTS[0], "/my/model.py"))
    assert repeating(told).endswith(" --plugin /my/model.py")


@pytest.mark.parametrize("lacking", [{}, {"request": None}, {"request": {"model": "toy"}}])
def test_an_unknown_request_has_no_command(lacking: dict[str, Any]) -> None:
    assert repeating(Manifest.from_json(lacking)) == ""


def test_cards_hold_places_reasons_and_facts(tmp_path: Path) -> None:
    left = files(tmp_path, {**manifest(REQUESTS[2]), "data": {"rows": {"train": 5}, "notes": {}}})
    ranked = Group("toy", (entry("a", "toy", left),))
    found = list(cards(board([ranked], [(entry("b", "toy", left), "other rows scored")])))
    assert [card.entry.id for card in found] == ["a", "b"]
    assert found[0].row is not None
    assert (found[0].row.ranked.rank, found[1].row) == (1, None)
    assert [card.apart for card in found] == ["", "other rows scored"]
    assert found[0].subsets == {"all": (0.5, 0.49), "high": (0.5 / 3, None)}
    assert found[0].figures == {}
    assert found[0].facts["Training and test data"] == {"rows train": "5"}
    assert found[0].facts["Settings"] == {"recipe.lr": "0.001", "seed": "0"}
    assert found[0].facts["Versions"] == {"python": "3.11"}
    assert found[0].facts["Device and cost"]["parameters"] == "1,000"


def test_names_of_pages_are_safe_and_differ() -> None:
    names = ["toy-1", "../toy-1", "..", "", ".hidden", "a/b", "a\\b", "CON\0", "ü", "x" * 500]
    found = [file_name(name) for name in names]
    assert found[0] == "toy-1.html"
    assert len(set(found)) == len(names)
    for name in found[1:]:
        assert len(name) == 24 + 5
        assert name.removesuffix(".html").isalnum()


@pytest.mark.parametrize(
    "lines", ["", "nonsense\n", "[1]\n", '{"step": 1}\n', '{"step": 1, "metrics": {}}\n']
)
def test_lines_without_a_curve_are_none(lines: str, tmp_path: Path) -> None:
    left = files(tmp_path, {}, lines)
    assert read_curves(board([Group("toy", (entry("a", "toy", left),))])) == {}


def test_the_front_is_what_nothing_beats(tmp_path: Path) -> None:
    values = [0.5, 0.4, 0.6, 0.55, 0.7, 0.7]
    costs = [1.0, 1.0, 2.0, 3.0, 5.0, 4.0]
    groups = [
        Group(str(i), (entry(str(i), "toy", tmp_path, value=value),))
        for i, value in enumerate(values)
    ]
    cost_of = {str(i): cost for i, cost in enumerate(costs)}
    points = [(cost_of[row.group.label], row) for row in board(groups).rows]
    beaten = {
        i
        for i, j in itertools.permutations(range(6), 2)
        if costs[j] <= costs[i] and values[j] >= values[i]
    }
    assert [int(row.group.label) for _, row in front(points)] == sorted(set(range(6)) - beaten)
