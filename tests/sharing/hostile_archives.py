"""Archives that ``bench import`` has to refuse, made from the files of a good one.

The writer below puts any value into any field, which no library does. It shares no code with the
reader, and none with Python's zipfile.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Files = Mapping[str, bytes]
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True)
class Member:
    """A member, as its header and its entry in the directory tell it."""

    name: bytes
    data: bytes
    size: int
    crc: int
    method: int = _DEFLATED
    flags: int = 0
    attributes: int = 0o100644 << 16
    extra: bytes = b""
    comment: bytes = b""
    header: Mapping[str, Any] | None = None  # fields that the header tells otherwise
    packed: int | None = None  # size of the data as told
    offset: int | None = None  # place of the header as told


def member(name: str, content: bytes, **fields: Any) -> Member:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = packer.compress(content) + packer.flush()
    good = Member(name.encode(), data, len(content), zlib.crc32(content))
    return replace(good, **fields)


def zipped(
    members: Sequence[Member], *, before: bytes = b"", after: bytes = b"", **end: Any
) -> bytes:
    """Return a zip file; ``end`` replaces fields of the record at its end."""
    body, directory = before, b""
    for one in members:
        offset = len(body) if one.offset is None else one.offset
        told = replace(one, **(one.header or {}))
        body += struct.pack("<4s5H3L2H", b"PK\3\4", *_fields(told), len(told.extra))
        body += told.name + told.extra + one.data
        directory += struct.pack("<4s6H3L", b"PK\1\2", 20, *_fields(one)[:-1])
        lengths = (len(one.name), len(one.extra), len(one.comment), 0, 0)
        directory += struct.pack("<5H2L", *lengths, one.attributes, offset)
        directory += one.name + one.extra + one.comment
    known: dict[str, Any] = {
        "disk": 0, "first": 0, "here": len(members), "count": len(members),
        "length": len(directory), "start": len(body), "comment": b"",
    }  # fmt: skip
    known |= end
    comment = known["comment"]
    counts = [known[name] for name in ("disk", "first", "here", "count", "length", "start")]
    last = struct.pack("<4s4H2LH", b"PK\5\6", *counts, len(comment))
    return body + directory + after + last + comment


def _fields(one: Member) -> tuple[int, ...]:
    packed = len(one.data) if one.packed is None else one.packed
    time = (0, 33)  # 1 January 1980
    return (20, one.flags, one.method, *time, one.crc, packed, one.size, len(one.name))


def zeros(megabytes: int) -> bytes:
    """Return a deflate stream of zeros, a thousandth of their size, in no time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes + packer.flush()


def hostile_archives(files: Files) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of archives to refuse.

    Args:
        files: Members of an archive that is imported without complaint, by name.
    """
    run = next(iter(files)).split("/")[0]
    good = [member(name, content) for name, content in files.items()]
    first, rest = good[0], good[1:]
    for name, change in _MEMBERS.items():
        yield name, zipped([change(first), *rest])
    for name, made in _names(run).items():
        yield f"name: {name}", zipped([*good, member(made, b"x")])
    yield from _ends(good)
    yield from _places(good)
    yield from _bombs(run, good)


_MEMBERS: Mapping[str, Callable[[Member], Member]] = {
    "symbolic link": lambda m: replace(m, attributes=0o120777 << 16),
    "device": lambda m: replace(m, attributes=0o020666 << 16),
    "pipe": lambda m: replace(m, attributes=0o010666 << 16),
    "socket": lambda m: replace(m, attributes=0o140666 << 16),
    "encrypted": lambda m: replace(m, flags=1),
    "strongly encrypted": lambda m: replace(m, flags=0x41),
    "encrypted header only": lambda m: replace(m, header={"flags": 1}),
    "patch data": lambda m: replace(m, flags=0x20),
    "masked header": lambda m: replace(m, flags=0x2000),
    "method lzma": lambda m: replace(m, method=14),
    "method bzip2": lambda m: replace(m, method=12),
    "method unknown": lambda m: replace(m, method=99),
    "method differs": lambda m: replace(m, header={"method": _STORED}),
    "stored, deflated inside": lambda m: replace(m, method=_STORED),
    "checksum": lambda m: replace(m, crc=m.crc ^ 1),
    "size below": lambda m: replace(m, size=100),
    "size one below": lambda m: replace(m, size=m.size - 1),
    "size above": lambda m: replace(m, size=m.size + 1),
    "size of nothing": lambda m: replace(m, size=0, crc=0),
    "size of 4 GB": lambda m: replace(m, size=0xFFFFFFFE),
    "packed size of 4 GB": lambda m: replace(m, packed=0xFFFFFFFE),
    "packed size below": lambda m: replace(m, packed=len(m.data) // 2),
    "packed size of nothing": lambda m: replace(m, packed=0),
    "size of 2^63 in zip64": lambda m: replace(
        m, size=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 1 << 63)
    ),
    "zip64 without its values": lambda m: replace(
        m, size=0xFFFFFFFF, extra=struct.pack("<HH", 1, 0)
    ),
    "extra field cut": lambda m: replace(m, extra=struct.pack("<HH", 1, 4000)),
    "name differs": lambda m: replace(m, header={"name": m.name.replace(b"manifest", b"Manifest")}),
    "name with a zero": lambda m: replace(m, name=m.name + b"\0.txt"),
    "name not UTF-8": lambda m: replace(m, name=m.name + b"\xff", flags=0x800),
    "comment of a member": lambda m: replace(m, comment=b"hello"),
    "data not deflated": lambda m: replace(m, data=b"\xff" * len(m.data)),
    "data cut": lambda m: replace(m, data=m.data[:-9]),
    "offset beyond": lambda m: replace(m, offset=0x7FFFFFFF),
    "offset inside": lambda m: replace(m, offset=7),
}


def _names(run: str) -> dict[str, str]:
    return {
        "absolute": f"/{run}/metrics.jsonl",
        "above": f"../{run}/metrics.jsonl",
        "above, inside": f"{run}/../metrics.jsonl",
        "drive": f"C:/{run}/metrics.jsonl",
        "backslash": f"..\\{run}\\metrics.jsonl",
        "twice": f"{run}/manifest.json",
        "deep": "/".join(["a"] * 5000) + "/manifest.json",
        "long": "a" * 60_000,
        "empty": "",
        "folder": f"{run}/",
        "code": f"{run}/model.py",
        "weights": f"{run}/model.safetensors",
        "hidden": f".{run}/manifest.json",
        "other letters": f"{run}/MANIFEST.JSON",
        "escape codes": f"{run}/\x1b[2Jmanifest.json",
        "right to left": f"{run}/\u202enosj.tsefinam",
        "line break": f"{run}\n/manifest.json",
    }


def _ends(good: Sequence[Member]) -> Iterator[tuple[str, bytes]]:
    whole = zipped(good)
    yield "comment", zipped(good, comment=b"hello")
    yield "another end in the comment", zipped(good, comment=whole[-22:] + b"x")
    yield "an archive before", zipped(good, before=whole)
    yield "a program before", b"#!/bin/sh\n" + whole
    yield "bytes at the end", whole + b"\0"
    yield "another archive at the end", whole + whole
    yield "bytes after the directory", zipped(good, after=b"\0" * 9)
    yield "of two disks", zipped(good, disk=1)
    yield "fewer members than told", zipped(good, here=9, count=9)
    yield "more members than told", zipped(good, here=1, count=1)
    yield "counts differ", zipped(good, here=1)
    yield "60,000 members told", zipped(good, here=60_000, count=60_000)
    yield "directory of 4 GB", zipped(good, length=0xFFFFFFFF)
    yield "directory beyond", zipped(good, start=0x7FFFFFFF)
    yield "zip64 counts", zipped(good, here=0xFFFF, count=0xFFFF, length=0xFFFFFFFF)
    wide = replace(good[0], data=good[0].data + b"x" * 9, packed=len(good[0].data))
    yield "bytes between members", zipped([wide, *good[1:]])
    yield "no members", zipped([])
    yield "empty", b""
    yield "only the letters PK", b"PK"
    yield "cut in two", whole[: len(whole) // 2]
    # A zip64 record inside the comment of the last entry sends Python to another directory.
    hidden = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    yield "zip64 record in hiding", zipped([*good[:-1], replace(good[-1], comment=hidden)])
    named = replace(good[-1], name=good[-1].name, extra=struct.pack("<HH", 99, 20) + hidden)
    yield "zip64 record in an extra field", zipped([*good[:-1], named])


def _places(good: Sequence[Member]) -> Iterator[tuple[str, bytes]]:
    """Yield archives whose members share bytes, as in a "better zip bomb" (Fifield 2019)."""
    first, *rest = good
    again = replace(first, name=first.name.replace(b"manifest.json", b"losses.npy"), offset=0)
    yield "two members in one place", zipped([first, again, *rest])
    wide = replace(first, packed=len(first.data) + 40)
    yield "a member over the next", zipped([wide, *rest])
    last = replace(good[-1], packed=len(good[-1].data) + 40)
    yield "a member over the directory", zipped([*good[:-1], last])


def _bombs(run: str, good: Sequence[Member]) -> Iterator[tuple[str, bytes]]:
    manifest, *rest = good
    two = zeros(2048)
    copies = [
        replace(one, name=one.name.replace(b"-", f"{number}-".encode(), 1))
        for number in range(3)
        for one in good
    ]
    lying = [
        replace(one, data=two, size=100) if one.name.endswith(b"manifest.json") else one
        for one in copies
    ]
    yield "bomb: 6 GB that say 300 bytes", zipped(lying)
    yield "bomb: 2 GB that say so", zipped([replace(manifest, data=two, size=1 << 31), *rest])
    whole = replace(manifest, data=zeros(256), size=1 << 28, crc=0)
    values = [
        replace(whole, name=f"a{number}-261121-100946-4a21/predictions.npy".encode())
        for number in range(7)
    ]
    yield "bomb: 1.75 GB of predictions", zipped([*good, *values])
    short = replace(manifest, data=zeros(1), size=1 << 20, crc=zlib.crc32(bytes(1 << 20)))
    yield "bomb: a manifest of a megabyte of zeros", zipped([short, *rest])
    nested = zipped(good)
    yield "an archive in the archive", zipped([*good, member(f"{run}/results.zip", nested)])
    deep = b"[" * (1 << 20)
    yield "bomb: a manifest of brackets", zipped([member(manifest.name.decode(), deep), *rest])
    many = [member(f"a-{n:06}-100946-4a21/manifest.json", b"{}") for n in range(12_000)]
    yield "12,000 runs", zipped(many)
