"""Every test of the search in a folder of its own, with nothing of the user's environment."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA", "BENCH_HOME", "PEAK_HOLD"):
        monkeypatch.delenv(name, raising=False)
