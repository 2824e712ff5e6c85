"""The command line where streams are closed or full, letters or memory are short, a signal comes.

Every command is a process of its own: the streams of this one belong to pytest.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch._inductor.exc import InductorError

from bench.cli.common import as_mistake
from bench.errors import lacks_memory
from bench.results.run_folder import read_runs

BENCH = f"{sys.executable} -m bench"
BIG = '''
"""A network that asks for 10^12 weights."""

import torch
from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.layout import Layout
from bench.model import Model


@settings
class BigConfig:
    weights: int = setting(10**12, "number of weights", low=1)


class Big(Model[BigConfig]):
    card = ModelCard(summary="big", source=Source(citation="-", url="-", license="MIT"))

    def __init__(self, config: BigConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.weights = nn.Parameter(torch.zeros(config.weights))

    @classmethod
    def layout(cls, config: BigConfig) -> Layout:
        return Layout(flanks="trim", length=40, pad="both")
'''


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of runs beside a table, with a run that had neither output nor progress."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = random.Random(0)
    rows = ["sequence\ttarget\tsplit"]
    for number in range(120):
        letters = "".join(rng.choices("ACGT", k=40))
        part = ("train", "train", "validation", "test")[number % 4]
        rows.append(f"{letters}\t{letters.count('G') + rng.random():.3f}\t{part}")
    (folder / "t.tsv").write_text("\n".join(rows) + "\n")
    done = shell("{bench} run --model kmer-ridge --task t.tsv --no-tracking <&- >&- 2>&-", folder)
    assert done.returncode == 2  # the table of scores has no place to go
    return folder


def shell(command: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in the folder of the table; ``{bench}`` is the command line."""
    environment = {**os.environ, "BENCH_HOME": str(home / "runs"), **variables}
    line = command.replace("{bench}", BENCH)
    return subprocess.run(
        ["sh", "-c", line],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_run_whose_streams_are_closed_is_recorded_whole(home: Path) -> None:
    readable, _ = read_runs(home / "runs")
    (manifest,) = readable.values()
    assert manifest.status == "finished"
    assert manifest.metrics["test/all/pearson"] is not None
    (run,) = (home / "runs").glob("kmer-ridge*")
    for path in run.glob("*.json*"):  # what was said went into no file that got a stream's number
        assert "reading the" not in path.read_text()


@pytest.mark.parametrize(
    ("streams", "status", "told"),
    [
        (">&-", 2, "bench: standard output: Bad file descriptor\n"),
        (">/dev/full", 2, "bench: standard output: No space left on device\n"),
        (">/dev/full 2>/dev/full", 2, ""),
        (">&- 2>&-", 2, ""),
        ("2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        ("<&-", 0, ""),
    ],
)
def test_a_table_that_cannot_be_written_is_one_line(
    streams: str, status: int, told: str, home: Path
) -> None:
    done = shell("{bench} runs " + streams, home)
    assert (done.returncode, done.stderr) == (status, told)
    assert ("kmer-ridge" in done.stdout) == (status == 0)


@pytest.mark.parametrize("command", ["leaderboard --task t.tsv", "--help"])
def test_every_kind_of_output_is_checked(command: str, home: Path) -> None:
    done = shell("{bench} " + command + " >/dev/full", home)
    assert done.returncode == 2
    assert done.stderr == "bench: standard output: No space left on device\n"


@pytest.mark.parametrize("command", ["runs", "runs --json"])
def test_a_reader_that_is_gone_gets_no_message(command: str, home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*BENCH.split(), *command.split(), "--home", str(home / "runs")],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_letters_that_a_terminal_lacks_are_written_as_numbers(
    variables: dict[str, str], home: Path
) -> None:
    folder = os.fsencode(home / "ä λ ").decode("utf-8") + "\udcff"
    if not os.path.isdir(folder):
        os.symlink("runs", folder)
    where = f"--home '{folder}'"
    done = shell("{bench} runs " + where, home, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    done = shell("{bench} score --run none " + where, home, **variables)
    assert done.returncode == 2
    assert done.stderr.startswith("bench: ")
    assert done.stderr.count("\n") == 1


def test_a_card_with_other_letters_is_printed_in_ascii(home: Path) -> None:
    done = shell("{bench} models proformer", home, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xb7" in done.stdout
    assert done.stdout.isascii()


def test_memory_that_a_model_lacks_is_one_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "big.py").write_text(BIG)
    words = f"--plugin {tmp_path}/big.py --model big --task t.tsv --set recipe.batch_size=16"
    done = shell("{bench} run --no-tracking --device cpu " + words, home)
    said = "bench: cpu is out of memory while the model is made. Take a smaller model."
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, said)
    assert not list((home / "runs").glob("big*"))


class _ArrayMemoryError(MemoryError):
    """As numpy raises it."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_ArrayMemoryError("Unable to allocate 7 GiB"), "out of memory: Unable to allocate 7 GiB"),
        (MemoryError(), "out of memory: MemoryError"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "out of memory: [enforce fail] DefaultCPUAllocator: can't allocate memory",
        ),
        (
            RuntimeError("can't start new thread"),
            "no further thread can be started. Try `ulimit -u`: the limit is low.",
        ),
        (OSError(28, "No space left on device", "/a/b"), "/a/b: No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("40 requested and 8 written"), "40 requested and 8 written"),  # numpy's tofile
        (InductorError(OSError(13, "Denied", "/cache/73"), None), "/cache/73: Denied"),
        (RuntimeError("shapes do not match"), None),
        (KeyError("memory"), None),
    ],
)
def test_what_a_machine_lacks_is_no_bug(error: Exception, told: str | None) -> None:
    mistake = as_mistake(error)
    assert (None if mistake is None else str(mistake)) == told
    assert lacks_memory(error) == (told or "").startswith("out of memory")


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("MASTER_PORT=x", "MASTER_PORT=x is not a whole number. Correct the variable."),
        ("LOCAL_WORLD_SIZE=-1", "LOCAL_WORLD_SIZE=-1 is not a whole number. Correct the variable."),
        (
            "mkdir -p gone; cd gone; rmdir ../gone;",
            "the current folder does not exist any more. Go to another one.",
        ),
        ("ulimit -f 0;", None),
    ],
)
def test_surroundings_that_are_broken_are_one_line(
    before: str, told: str | None, home: Path
) -> None:
    done = shell(before + " {bench} runs", home)
    assert done.stderr == ("" if told is None else f"bench: {told}\n")
    assert done.returncode == (0 if told is None else 2)


def test_a_file_on_a_full_disk_is_named(home: Path) -> None:
    (run,) = (home / "runs").glob("kmer-ridge*")
    done = shell(f"ulimit -f 1; {{bench}} export {run.name} --out out.zip", home)
    assert done.returncode == 2
    assert done.stderr == "bench: --out out.zip: File too large.\n"
    assert not list(home.glob("*out.zip*"))


def test_a_bug_shows_its_traceback_and_where_the_run_is(home: Path, tmp_path: Path) -> None:
    source = BIG.replace("10**12", "8") + (
        "\n    def forward(self, tokens: Tensor) -> Tensor:\n        raise KeyError('oops')\n"
    )
    (tmp_path / "faulty.py").write_text(source.replace("class Big(", "class Faulty("))
    words = f"--plugin {tmp_path}/faulty.py --model faulty --task t.tsv"
    words += " --set recipe.batch_size=16 --no-tracking --device cpu"
    done = shell("{bench} run " + words, home)
    *_, note, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert "KeyError: 'oops'" in done.stderr
    assert note.startswith(f"The run is recorded as failed in {home}/runs/faulty-t-s0-")
    assert last.startswith("bench: an error that bench does not expect")


def test_ctrl_c_while_libraries_are_loaded_is_one_line(home: Path) -> None:
    environment = {**os.environ, "BENCH_HOME": str(home / "runs")}
    command = [*BENCH.split(), "models", "proformer"]
    process = subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said
    # Python ends itself by SIGINT if the error came out of an `exec`, as of a dataclass.
    assert process.returncode in (0, 130, -signal.SIGINT)
