"""The arrows of the house as data: which folder or file of bench/ may import which.

The table ``LAYERS`` goes from the top to the bottom. A room is a folder or a file directly in
bench/, with the plugins' folders and leaderboards/ under the same names as in ``bench.models`` and
``bench.leaderboards``. A file may import

* any file of its own room, as long as no circle comes of it;
* any room of a lower layer;
* a room of the same layer only where ``BESIDE`` has the pair, with the reason.

``bench`` is ``bench/__init__.py``, the front door: what lies below it imports nothing from it. (The
version is needed below, so it is written in ``bench/version.py``; ``bench.__version__`` is the same
name handed on.)

Plugins are outside the layers. Nobody imports models/ or tasks/; the registry finds them by name.
They import the rooms that ``PLUGINS`` lists and nothing else of bench; within models/ or tasks/,
their own files and the shared helpers, whose names begin with an underscore.

To add a room, write its name into the layer directly above everything that it imports; where it
has to be between two layers, give it a layer of its own. To let plugins import it, name it in
``PLUGINS``, too. What counts as an import is explained in :mod:`tests.tools.imports`.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.tools.imports import Module, arrows, circles, read

ROOT = Path(__file__).parents[1]

LAYERS = (
    ("__main__",),
    ("cli",),
    ("bench",),
    ("api",),
    ("tuning", "sharing", "describe", "leaderboards", "scaffold", "contract"),
    ("runner",),
    ("training", "scoring", "sources", "tracking", "plugin_files"),
    ("registry", "results", "genomics"),
    ("model", "task"),
    ("recipe",),
    ("data", "weights"),
    ("search_space",),
    ("config", "metrics", "atomic", "paths", "console", "extras", "children"),
    ("cards", "errors", "inert", "version", "addresses"),
)
BESIDE = {
    ("scoring", "sources"): "scoring/open_test reads a task's test rows where sources/locate finds",
    ("tracking", "scoring"): "tags in MLflow say what a run's scores can be compared with",
}
PLUGINS = {
    "models": {"cards", "model", "recipe", "data", "weights", "search_space", "config", "errors"},
    "tasks": {
        *(
            "cards",
            "task",
            "data",
            "sources",
            "genomics",
            "search_space",
            "config",
            "metrics",
            "errors",
        ),
    },
}
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def room(module: str) -> str:
    """Return the room of a dotted name: ``tuning`` for ``bench.tuning.worker``."""
    return [*module.split("."), "bench"][1]


def fault(source: str, target: str) -> str | None:
    """Return why one file must not import another; None where it may."""
    start, end = room(source), room(target)
    if start == end:
        return _fault_among_plugins(source, target) if start in PLUGINS else None
    if end in PLUGINS:
        return f"nobody imports {end}/"
    if start in PLUGINS:
        return None if end in PLUGINS[start] else f"{start}/ may not import {end}"
    if start not in LEVEL or end not in LEVEL:
        return f"{start if start not in LEVEL else end} has no layer: add it to LAYERS"
    if LEVEL[start] == LEVEL[end] and (start, end) not in BESIDE:
        return f"{start} and {end} are in the same layer, and BESIDE has no such pair"
    return f"{start} is below {end}" if LEVEL[start] > LEVEL[end] else None


def _fault_among_plugins(source: str, target: str) -> str | None:
    """Return why one file of models/ or tasks/ must not import another one of the same folder."""
    own, other = ([*name.split("."), ""][2] for name in (source, target))
    if own == other or other.startswith("_"):
        return None
    return f"'{own}' and '{other}' are two plugins, and '{other}' is no helper with an underscore"


def wrong_arrows(modules: Mapping[str, Module]) -> list[str]:
    """Return ``file -> file: reason`` for every import that is not allowed."""
    return [
        f"{modules[source].path} -> {modules[target].path}: {reason}"
        for source, targets in arrows(modules).items()
        for target in sorted(targets)
        if (reason := fault(source, target))
    ]


def circle_arrows(modules: Mapping[str, Module]) -> list[str]:
    """Return ``file -> file`` for every arrow inside a circle, circle by circle."""
    graph = arrows(modules)
    return [
        f"{modules[source].path} -> {modules[target].path}"
        for circle in circles(graph)
        for source in circle
        for target in sorted(graph[source] & set(circle))
    ]


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    found = read(ROOT)
    assert len(found) > 50, f"{ROOT} is not the checkout: {sorted(found)}"
    return found


def test_every_room_has_one_layer(modules: Mapping[str, Module]) -> None:
    assert len(LEVEL) == sum(map(len, LAYERS))
    homeless = [
        str(file.path) for name, file in modules.items() if room(name) not in {*LEVEL, *PLUGINS}
    ]
    _expect_none("These files have no layer; add their room to LAYERS", homeless)


def test_no_files_import_each_other_in_a_circle(modules: Mapping[str, Module]) -> None:
    _expect_none("These imports are part of a circle", circle_arrows(modules))


def test_imports_follow_the_layers(modules: Mapping[str, Module]) -> None:
    _expect_none("These imports are not allowed", wrong_arrows(modules))


def _expect_none(text: str, lines: list[str]) -> None:
    if lines:
        pytest.fail("\n  ".join([f"{text} ({len(lines)}):", *lines]), pytrace=False)
