"""Tensors of a TensorFlow checkpoint, read without TensorFlow.

A checkpoint ``X`` is a file ``X.index`` and files ``X.data-00000-of-00001`` … The index is a sorted
table as in LevelDB: blocks of entries whose keys share prefixes, a block of blocks, and a footer of
48 bytes. A value is a protocol buffer: the header for the empty key, otherwise the data type, the
shape and the place of a tensor's bytes in a data file. Every block and every tensor has a checksum.

Formats: tensorflow/core/protobuf/tensor_bundle.proto and tensorflow/core/lib/io/format.cc.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.atomic import open_regular, read_plain
from bench.errors import BenchError, argument
from bench.weights.crc32c import masked_crc32c

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
"""End of the name of a variable in a checkpoint of objects; before it are the attributes."""

_MAGIC, _FOOTER, _TRAILER = 0xDB4775248B80FB57, 48, 5
_LARGEST_INDEX = 1 << 24
_LONGEST_NAME = 4096
_FLOAT32 = 1  # of TensorFlow's data types


class _Damaged(Exception):  # noqa: N818
    """A part of the index is not as the format says."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """The description of one tensor in the index."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


def check_no_checkpoint(path: Path) -> None:
    """Check that a path is not a checkpoint as TensorFlow names it, without the ending ".index".

    Raises:
        BenchError: It is one, or one of its data files, or a folder with a nameless one.
    """
    name = "" if path.is_dir() else path.name.partition(".data-")[0]
    index = (path if path.is_dir() else path.parent) / f"{name}.index"
    if index.is_file():
        raise BenchError(
            f"{argument('weights')} {path}: a checkpoint of TensorFlow is named by its index.",
            hint={"weights": index},
        )


def read_checkpoint(index: Path, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Return tensors of a checkpoint by name.

    Args:
        index: Path of the checkpoint's file that ends in ".index".
        names: Names of the tensors, complete with ``VALUE``.

    Raises:
        BenchError: A file cannot be read or is damaged, or a tensor is missing or has no float32.
    """
    names = list(names)
    try:
        content = read_plain(index, _LARGEST_INDEX)
    except BenchError as error:
        raise error.wrapped(f"{argument('weights')} ") from None
    try:
        shards, entries = _read_index(content, set(names))
    except (_Damaged, IndexError, struct.error, ValueError) as error:
        reason = str(error) if isinstance(error, _Damaged) else "it ends too early"
        raise BenchError(
            f"{index} is not the index of a TensorFlow checkpoint: {reason}."
        ) from None
    missing = [name for name in names if name not in entries]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BenchError(f"{argument('weights')} {index} has no tensor {missing[0]}{more}.")
    prefix = index.name.removesuffix(".index")
    files = {
        shard: index.with_name(f"{prefix}.data-{shard:05d}-of-{shards:05d}")
        for shard in {entry.shard for entry in entries.values()}
    }
    return {name: _read_tensor(files[entries[name].shard], name, entries[name]) for name in names}


def _read_tensor(path: Path, name: str, entry: _Entry) -> NDArray[np.float32]:
    """Return one tensor of a data file, which has to hold as many bytes as the shape says."""
    if entry.kind != _FLOAT32 or entry.sliced:
        raise BenchError(f"{argument('weights')} {path}: {name} is not one tensor of float32.")
    try:
        with open_regular(path) as file:
            whole = 4 * math.prod(entry.shape) == entry.size
            if not whole or entry.offset + entry.size > os.fstat(file.fileno()).st_size:
                raise BenchError(
                    f"{argument('weights')} {path} has not the {entry.size:,} bytes of {name}."
                )
            file.seek(entry.offset)
            content = file.read(entry.size)
    except OSError as error:
        raise BenchError(f"{argument('weights')} {path}: {error.strerror}.") from None
    if len(content) != entry.size or masked_crc32c(content) != entry.checksum:
        raise BenchError(
            f"{argument('weights')} {path} is damaged: the checksum of {name} differs."
        )
    return np.frombuffer(content, "<f4").astype(np.float32).reshape(entry.shape)


def _read_index(content: bytes, wanted: set[str]) -> tuple[int, dict[str, _Entry]]:
    """Return the number of data files, and the entries of the wanted tensors by name."""
    if len(content) < _FOOTER or struct.unpack("<Q", content[-8:])[0] != _MAGIC:
        raise _Damaged("it does not end as one")
    footer = content[-_FOOTER:]
    _, at = _handle(footer, 0)  # of a block that TensorFlow leaves empty
    place, _ = _handle(footer, at)
    shards, entries = 0, {}
    for _, value in _block(content, place):
        for key, found in _block(content, _handle(value, 0)[0]):
            if not key:
                shards = _header(found)
            elif (name := key.decode(errors="replace")) in wanted:
                entries[name] = _entry(found)
    if shards < 1 or any(entry.shard >= shards for entry in entries.values()):
        raise _Damaged("its number of data files is wrong")
    return shards, entries


def _block(content: bytes, place: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block. A key is told by how it differs from the one before."""
    offset, size = place
    block, trailer = content[offset : offset + size], content[offset + size :][:_TRAILER]
    if len(block) != size or len(trailer) != _TRAILER:
        raise _Damaged("a block is missing")
    if struct.unpack("<I", trailer[1:])[0] != masked_crc32c(block + trailer[:1]):
        raise _Damaged("the checksum of a block differs")
    if trailer[0]:
        raise _Damaged("it is compressed, as TensorFlow's own are not")
    restarts = struct.unpack("<I", block[-4:])[0]
    end, at, key = size - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or shared + fresh > _LONGEST_NAME or at + fresh + length > end:
            raise _Damaged("an entry does not fit its block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh + length
        yield key, block[at - length : at]


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return the offset and the size of a block, and the position behind them."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, and the position behind it."""
    value = 0
    for shift in range(0, 64, 7):
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise _Damaged("a number is too long")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers and values of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = divmod(tag, 8)
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        length, at = _varint(message, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if length < 0 or at + length > len(message):
            raise _Damaged("a description is cut short")
        part, at = message[at : at + length], at + length
        yield number, part if wire == 2 else int.from_bytes(part, "little")


def _header(message: bytes) -> int:
    """Return the number of data files; numbers in them are little-endian."""
    fields = dict(_fields(message))
    if fields.get(2, 0) != 0:
        raise _Damaged("its numbers are big-endian")
    return _number(fields, 1)


def _entry(message: bytes) -> _Entry:
    fields = dict(_fields(message))
    shape = fields.get(2, b"")
    dimensions = [part for number, part in _fields(_bytes(shape)) if number == 2]
    return _Entry(
        kind=_number(fields, 1),
        shape=tuple(_number(dict(_fields(_bytes(part))), 1) for part in dimensions),
        shard=_number(fields, 3),
        offset=_number(fields, 4),
        size=_number(fields, 5),
        checksum=_number(fields, 6),
        sliced=7 in fields,
    )


def _number(fields: Mapping[int, int | bytes], number: int) -> int:
    """Return a whole number of a message; an absent one is 0."""
    value = fields.get(number, 0)
    if not isinstance(value, int):
        raise _Damaged("a description is of another kind")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise _Damaged("a description is of another kind")
    return value
