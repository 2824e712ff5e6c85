"""Where tests find real data, golden outputs and published results, and what they do without."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bench.cli.environment import set_environment

ROOT = Path(__file__).parents[1]

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

# Tests in the background of a shell, or under nohup, ignore these signals, and so would the
# commands that they start. A handler of Python's becomes the default action in these commands.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


@pytest.fixture(scope="session", autouse=True)
def switches() -> None:
    """Set MLflow's switches before anything imports it, as the command line does."""
    set_environment()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is encoded or simulated by tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with measured data, by BENCH_DATA."""
    folder = os.environ.get("BENCH_DATA")
    if not folder or not (Path(folder) / "dream").is_dir():
        pytest.skip("real data: set BENCH_DATA to a folder that holds dream/")
    return Path(folder)


@pytest.fixture(scope="session")
def published_results() -> Path:
    """The folder with predictions and weights that others published, by BENCH_PUBLISHED."""
    folder = os.environ.get("BENCH_PUBLISHED")
    if not folder or not (Path(folder) / "all_71103.npz").is_file():
        pytest.skip("published results: set BENCH_PUBLISHED to a folder with all_71103.npz")
    return Path(folder)


def golden_files(pattern: str) -> list[Path]:
    """List golden outputs in BENCH_GOLDEN, or beside the checkout."""
    folder = Path(os.environ.get("BENCH_GOLDEN", ROOT.parent / "shared" / "golden"))
    return sorted(folder.glob(pattern))
