"""Numbers that are no numbers, or that PyTorch cannot take, are a mistake of one line."""

import sys
from pathlib import Path

import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.results.options import Request
from bench.runner.request import resolve


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run --seed 999999999999999999999999", "--seed 999999999999999999999999: a seed is from"),
        ("run --max-time nan", "--max-time nan is not a finite number."),
        ("run --max-time inf", "--max-time inf is not a finite number."),
        ("run --checkpoint-minutes nan", "--checkpoint-minutes nan is not a finite number."),
        ("run --fraction nan", "--fraction nan is not a finite number."),
        ("search --seeds 0,9223372036854775808", None),
        ("search --heartbeat nan", "nan is not a finite number"),
        ("search --timeout nan", "nan is not a finite number"),
        ("search --max-memory inf", "inf is not a finite number"),
    ],
)
def test_a_number_without_a_meaning_is_refused(
    words: str,
    told: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = words.split()
    task = ("--task", "dream", "--simulate", "--rows", "2000")
    given = [command, "--model", "kmer-ridge", *task, *options, "--no-tracking"]
    monkeypatch.setattr(sys, "argv", ["bench", *given])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    if told is not None:
        assert told in errors.splitlines()[-1]
    assert not list(tmp_path.rglob("manifest.json"))
    assert not list(tmp_path.rglob("*.log"))


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_is_a_whole_number_of_pytorch(seed: int) -> None:
    with pytest.raises(BenchError, match=f"seed {seed}: a seed is from 0 to"):
        resolve(Request(model="kmer-ridge", task="dream", seed=seed))
    resolve(Request(model="kmer-ridge", task="dream", seed=2**63 - 1))
