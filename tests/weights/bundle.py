"""A writer of TensorFlow checkpoints by the documented format. It shares no code with bench.

Formats: tensor_bundle.proto of TensorFlow, table_format.md of LevelDB, RFC 3720 for the checksum.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

FLOAT, INT64 = 1, 9
MAGIC = 0xDB4775248B80FB57


def _table() -> list[int]:
    values = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        values.append(byte)
    return values


TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C, one byte after the other."""
    register = 0xFFFFFFFF
    for byte in data:
        register = (register >> 8) ^ TABLE[(register ^ byte) & 0xFF]
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    value = crc32c(data)
    return ((((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def entry(kind: int, shape: Iterable[int], offset: int, content: bytes, shard: int = 0) -> bytes:
    """Return the protocol buffer BundleEntryProto."""
    dimensions = b"".join(message(2, number(1, size)) for size in shape)
    return (
        number(1, kind)
        + message(2, dimensions)
        + number(3, shard)
        + number(4, offset)
        + number(5, len(content))
        + bytes([6 << 3 | 5])
        + masked(content)
    )


def block(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a block with prefixes shared between neighbours, and a restart every 16 entries."""
    out, restarts, last = b"", [], b""
    for position, (key, value) in enumerate(items):
        shared = 0
        if position % 16:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        last = key
    restarts = restarts or [0]
    return out + b"".join(at.to_bytes(4, "little") for at in [*restarts, len(restarts)])


def table(items: Mapping[bytes, bytes], per_block: int = 20) -> bytes:
    """Return a sorted table of few entries a block, so that there are several blocks."""
    out, places = b"", []

    def add(content: bytes) -> bytes:
        nonlocal out
        handle = varint(len(out)) + varint(len(content))
        out += content + b"\0" + masked(content + b"\0")
        return handle

    rows = sorted(items.items())
    for first in range(0, len(rows), per_block):
        part = rows[first : first + per_block]
        places.append((part[-1][0], add(block(part))))
    footer = add(block([])) + add(block(places))
    return out + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")


def write_checkpoint(index: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write a checkpoint: two data files, and names as in a checkpoint of objects."""
    items = {b"": number(1, 2) + message(3, number(1, 1))}
    data = [b"", b""]
    for shard, (name, values) in enumerate(sorted(tensors.items())):
        content, at = values.astype("<f4").tobytes(), shard % 2
        key = f"{name}/.ATTRIBUTES/VARIABLE_VALUE".encode()
        items[key] = entry(FLOAT, values.shape, len(data[at]), content, at)
        data[at] += content
    items[b"save_counter/.ATTRIBUTES/VARIABLE_VALUE"] = entry(INT64, (), 0, bytes(8))
    index.write_bytes(table(items))
    for shard, content in enumerate(data):
        name = index.name.removesuffix(".index")
        index.with_name(f"{name}.data-{shard:05d}-of-00002").write_bytes(content)
