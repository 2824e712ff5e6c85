"""Checkpoints of TensorFlow: what is read, and what is refused in a line."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.weights.crc32c import crc32c
from bench.weights.tensorflow_checkpoint import VALUE, read_checkpoint
from tests.weights import bundle


@pytest.mark.parametrize(
    ("data", "checksum"),  # RFC 3720, appendix B.4, and the usual check value
    [
        (bytes(32), 0x8A9136AA),
        (bytes([255] * 32), 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_checksums_are_those_of_the_standard(data: bytes, checksum: int) -> None:
    assert crc32c(data) == bundle.crc32c(data) == checksum


@pytest.mark.parametrize("length", [1023, 1024, 1025, 2048, 5000])
def test_parts_are_combined_to_the_checksum_of_the_whole(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == bundle.crc32c(data)


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    named = {f"blocks/layer_{n}/kernel": rng.normal(size=(n, 3)) for n in range(50)}
    return {**named, "scalar": np.array(2.5), "cube": rng.normal(size=(2, 3, 4))}


@pytest.mark.parametrize("name", ["model.index", ".index"])
def test_tensors_of_several_blocks_and_files_come_back(tmp_path: Path, name: str) -> None:
    """Keras calls a checkpoint of the folder "ckpts/" just ".index"."""
    given = tensors()
    bundle.write_checkpoint(tmp_path / name, given)
    found = read_checkpoint(tmp_path / name, [key + VALUE for key in given])
    assert list(found) == [key + VALUE for key in given]
    for key, values in given.items():
        np.testing.assert_array_equal(found[key + VALUE], values.astype(np.float32), strict=True)


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def wrong_entry(path: Path, content: bytes) -> None:
    """Write an index that is whole, but for the description of one tensor."""
    header = bundle.number(1, 2) + bundle.message(3, bundle.number(1, 1))
    path.write_bytes(bundle.table({b"": header, b"scalar/.ATTRIBUTES/VARIABLE_VALUE": content}))


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "an index of zero bytes": (lambda p: cut(p, 0), "it does not end as one"),
    "another kind of file": (lambda p: flipped(p, -1), "does not end as one"),
    "a byte of the index": (lambda p: flipped(p, 5), "the checksum of a block differs"),
    "a byte of the weights": (
        lambda p: flipped(p.with_name("m.data-00000-of-00002"), 0),
        "is damaged: the checksum of",
    ),
    "weights cut short": (
        lambda p: cut(p.with_name("m.data-00000-of-00002"), 10),
        "has not the",
    ),
    "no weights": (lambda p: p.with_name("m.data-00001-of-00002").unlink(), "No such file"),
    "no index": (lambda p: p.unlink(), "No such file"),
    "another type": (
        lambda p: wrong_entry(p, bundle.entry(bundle.INT64, (), 0, bytes(8))),
        "is not one tensor of float32",
    ),
    "a shape of more numbers than bytes": (
        lambda p: wrong_entry(p, bundle.entry(bundle.FLOAT, (1 << 40, 1 << 20), 0, bytes(4))),
        "has not the 4 bytes",
    ),
    "a place behind the end": (
        lambda p: wrong_entry(p, bundle.entry(bundle.FLOAT, (), 1 << 62, bytes(4))),
        "has not the 4 bytes",
    ),
    "a data file of a number too high": (
        lambda p: wrong_entry(p, bundle.entry(bundle.FLOAT, (), 0, bytes(4), shard=7)),
        "number of data files is wrong",
    ),
    "a description that ends too early": (
        lambda p: wrong_entry(p, bundle.number(1, 1) + b"\x12\x7f"),
        "a description is cut short",
    ),
    "a part of a tensor": (
        lambda p: wrong_entry(
            p, bundle.entry(bundle.FLOAT, (), 0, bytes(4)) + bundle.message(7, b"")
        ),
        "is not one tensor of float32",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_damaged_is_told_in_a_line(tmp_path: Path, case: str) -> None:
    index = tmp_path / "m.index"
    given = tensors()
    bundle.write_checkpoint(index, given)
    spoil, reason = CASES[case]
    spoil(index)
    wanted = ["scalar"] if "wrong_entry" in spoil.__code__.co_names else list(given)
    with pytest.raises(BenchError, match=re.escape(reason)) as error:
        read_checkpoint(index, [name + VALUE for name in wanted])
    assert "\n" not in str(error.value)


def test_every_byte_of_an_index_matters_or_the_answer_is_right(tmp_path: Path) -> None:
    """No damage of one byte makes another exception, or other values."""
    index, given = tmp_path / "m.index", {"a/b": np.arange(6.0).reshape(2, 3), "a/c": np.ones(2)}
    bundle.write_checkpoint(index, given)
    whole = index.read_bytes()
    refused = 0
    for at in range(len(whole)):
        index.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            found = read_checkpoint(index, ["a/b" + VALUE])
        except BenchError:
            refused += 1
        else:
            np.testing.assert_array_equal(found["a/b" + VALUE], given["a/b"])
    assert refused > len(whole) // 2


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    bundle.write_checkpoint(tmp_path / "m.index", tensors())
    with pytest.raises(BenchError, match=r"has no tensor head/kernel/\.ATTRI.* and 1 more\.$"):
        read_checkpoint(tmp_path / "m.index", ["head/kernel" + VALUE, "scalar" + VALUE, "x"])
