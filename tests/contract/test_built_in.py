"""Every built-in model and task passes the checks, which `make check-plugins` runs in part."""

from pathlib import Path

import pytest

from bench.contract.suite import check
from bench.contract.targets import Target, every

ROOT = Path(__file__).parents[2]
BUILT_IN = [target for target in every() if target.built_in]


@pytest.mark.slow
@pytest.mark.parametrize("target", BUILT_IN, ids=lambda target: f"{target.kind}-{target.name}")
def test_a_built_in_plugin_passes_all_checks(target: Target) -> None:
    report = check(target)
    assert report.failed == []
    assert len(report.findings) > 10


@pytest.mark.parametrize("folder", ["models", "tasks", "leaderboards"])
def test_each_plugin_folder_is_one_folder(folder: str) -> None:
    """A copy of the repository that resolves the links would have every model file twice."""
    assert (ROOT / folder).samefile(ROOT / "bench" / folder)
