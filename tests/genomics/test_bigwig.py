"""Signals, compared with lists of values."""

import importlib
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.genomics.bigwig import open_signal, write_signal
from tests.genomics.helpers import one_line

SIZES = {"a": 40, "b": 30}


VALUES = {"a": [0.0] * 5 + [1.0] * 10 + [0.25] * 3 + [0.0] * 10 + [7.5] * 12, "b": [2.0] * 30}


def signal_file(folder: Path) -> Path:
    path = folder / "signal.bw"
    rows = [("a", 5, 15, 1.0), ("a", 15, 18, 0.25), ("a", 28, 40, 7.5), ("b", 0, 30, 2.0)]
    write_signal(path, SIZES, rows)
    return path


def test_means_are_those_of_a_list_of_values_in_any_order(tmp_path: Path) -> None:
    signal = open_signal(signal_file(tmp_path))
    assert signal.sizes == SIZES
    places = [(c, s, s + w) for c in "ba" for w in (1, 7, 20) for s in range(SIZES[c] - w + 1)]
    places = [places[i] for i in np.random.default_rng(0).permutation(len(places))] + places[:5]
    chrom, starts, ends = zip(*places, strict=True)
    found = signal.means(chrom, np.array(starts), np.array(ends))
    expected = [sum(VALUES[c][s:e]) / (e - s) for c, s, e in places]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    assert 0.0 in expected


@pytest.mark.parametrize("kept", [3, 40, 300, -1])
def test_a_bigwig_that_is_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = signal_file(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BenchError, match=r"is cut short|is not a bigWig") as error:
        open_signal(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "empty"), (b"chr1\t0\t5\t2\n", "not a bigWig")]
)
def test_what_is_no_bigwig_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "signal.bw").write_bytes(content)
    with pytest.raises(BenchError, match=said):
        open_signal(tmp_path / "signal.bw")


def test_a_bigbed_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bb"
    importlib.import_module("pybigtools").open(str(path), "w").write(
        {"a": 40}, iter([("a", 1, 5, "x")])
    )
    with pytest.raises(BenchError, match="a bigBed, not a bigWig"):
        open_signal(path)


def test_damage_within_a_bigwig_is_told_in_one_line(tmp_path: Path) -> None:
    path = signal_file(tmp_path)
    data = bytearray(path.read_bytes())
    packed = next(i for i in range(len(data)) if _unpacks(bytes(data[i:])))
    data[packed : packed + 12] = bytes(12)
    path.write_bytes(data)
    with pytest.raises(BenchError, match="is damaged") as error:
        open_signal(path).means(["a"], np.array([5]), np.array([9]))
    one_line(error)


def _unpacks(data: bytes) -> bool:
    try:
        return len(zlib.decompress(data)) > 0
    except zlib.error as error:
        return "incomplete" in str(error) and zlib.decompressobj().decompress(data) != b""


def test_without_pybigtools_one_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = signal_file(tmp_path)
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    with pytest.raises(BenchError, match=r"pip install 'dream-bench\[genomics\]'"):
        open_signal(path)
