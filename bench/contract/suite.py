"""The run of all checks of a plugin: pytest collects and runs them, a plugin of it reports.

A check is a test function of one of the files below. Its name is that of the check, its docstring
says what it protects from, and ``@needs("shape")`` names checks without which it says nothing.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.contract import ranks
from bench.contract.report import Finding, Outcome, Report, explained, source
from bench.contract.specimen import Specimen
from bench.contract.targets import Target
from bench.contract.task_data import TaskData
from bench.errors import BenchError

_HERE = Path(__file__).parent
_FILES = {
    "model": (
        *("model_card", "model_start", "model_basics", "model_behaviour", "model_training"),
        *("model_machines", "figures"),
    ),
    "task": ("task_checks", "task_scores"),
}
_OFF = ("terminal", "cacheprovider", "faulthandler", "logging", "doctest", "debugging")
_NOT_TRIED = "not tried"
_OPTIONS = (
    *("-c", os.devnull, "--rootdir", str(_HERE), "--noconftest", "--disable-plugin-autoload"),
    *("--import-mode", "importlib", "--assert", "plain", "--capture", "no", "-W", "ignore"),
    *(part for name in _OFF for part in ("-p", f"no:{name}")),
)


def check(
    target: Target,
    *,
    full: bool = True,
    data: Path | None = None,
    told: Callable[[Finding], None] = lambda found: None,
) -> Report:
    """Run all checks of a model or a task.

    Args:
        target: Model or task.
        full: Whether the slow checks are run, too: a model is compiled to machine code.
        data: Folder of a task's files; None for its simulation.
        told: Function that is called with every finding at once.
    """
    files = [str(_HERE / f"{name}.py") for name in _FILES[target.kind]]
    suite = _Suite(target, data, told, full=full)
    if target.kind == "model":
        ranks.prepare()
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        status = pytest.main([*_OPTIONS, "--basetemp", scratch, *files], plugins=[suite])
    if suite.lost is not None:
        raise suite.lost
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with {status!r}")
    return Report(target.kind, target.name, tuple(suite.findings))


class _Suite:
    """A plugin of pytest that hands the target to the checks and collects what they say."""

    def __init__(
        self, target: Target, data: Path | None, told: Callable[[Finding], None], *, full: bool
    ) -> None:
        self._target, self._data, self._told, self._full = target, data, told, full
        self._file = source(target.plugin)
        self._blocked: set[str] = set()
        self._started = 0.0
        self.findings: list[Finding] = []
        self.lost: BenchError | None = None

    @pytest.fixture(scope="session")
    def specimen(self) -> Specimen:
        """The model under check."""
        return Specimen(self._target, full=self._full)

    @pytest.fixture(scope="session")
    def task_data(self, tmp_path_factory: pytest.TempPathFactory) -> TaskData:
        """The task under check, and its rows."""
        return TaskData(self._target, self._data, tmp_path_factory.mktemp("rows"))

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the markers of the checks."""
        config.addinivalue_line("markers", "needs(*checks): checks without which it says nothing")
        config.addinivalue_line("markers", "slow: left out by a quick check")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the slow checks out where they are not asked for."""
        if not self._full:
            items[:] = [item for item in items if item.get_closest_marker("slow") is None]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Skip a check that would only repeat the failure of another; keep prints out."""
        self._started = time.perf_counter()
        marker = item.get_closest_marker("needs")
        wanted = [_name(check) for check in (marker.args if marker else ())]
        if broken := [check for check in wanted if check in self._blocked]:
            pytest.skip(f"{_NOT_TRIED}: it needs '{broken[0]}'")
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Keep what the plugin prints out of the report."""
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, None, None]:
        """Keep the finding of a check that has ended."""
        yield
        error = None if call.excinfo is None else call.excinfo.value
        if call.when == "teardown" or (call.when == "setup" and error is None):
            return
        outcome, text = self._verdict(item, error)
        if outcome == "failed" or text.startswith(_NOT_TRIED):
            self._blocked.add(_name(item.name))
        seconds = time.perf_counter() - self._started
        self.findings.append(Finding(_name(item.name), outcome, text, seconds))
        try:
            self._told(self.findings[-1])
        except BenchError as lost:  # nobody reads the findings any more
            self.lost, item.session.shouldstop = lost, True

    def _verdict(self, item: pytest.Item, error: BaseException | None) -> tuple[Outcome, str]:
        if error is None:
            told = dict(item.user_properties).get("measured")
            return ("passed", "") if told is None else ("measured", str(told))
        if isinstance(error, pytest.skip.Exception):
            return "skipped", str(error.msg)
        if isinstance(error, pytest.fail.Exception):
            return "failed", str(error.msg)
        return "failed", explained(error, self._file)


def _name(test: str) -> str:
    """Return the name of a check for that of its function."""
    return test.removeprefix("test_").replace("_", " ")
