"""A zip file of other people: its directory is checked before any member is unpacked.

A zip file describes itself three times: in the record at its end, in its directory, and in a header
before each member. They may disagree, and an unpacker that trusts one of them can be made to use
all memory, or to see other files than another program does. Here they have to agree, and every read
is bounded by a size that was checked before.

What ``bench export`` writes needs neither encryption, comments, zip64 nor members that overlap.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bench.errors import BenchError, first_line

_END = struct.Struct("<4s4H2LH")  # record at the end of the file, without a comment
_ZIP64 = struct.Struct("<4sLQL")  # record before that end, which would send Python elsewhere
_HEADER = struct.Struct("<4s5H3L2H")  # header of a member, before its name
_MOST_MEMBERS = 10_000  # four files a run
_LARGEST_ENTRY = 1024  # bytes of the directory for one member; a name has 250 at most
_LARGEST_TOTAL = 1 << 31  # unpacked bytes
_FREE_TOTAL, _RATIO = 1 << 27, 200  # a file that unpacks to more packs it by less; floats by 1.2
_SIZES_AFTER = 24  # bytes at most after the data of a member whose header came before its sizes
_FLAGS = 0x080E  # ways to deflate, sizes after the data, names in UTF-8: all that others may set
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, struct.error, OverflowError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Archive:
    """An open zip file with a checked directory.

    Attributes:
        members: Entries of the directory.
    """

    members: tuple[zipfile.ZipInfo, ...]
    _file: zipfile.ZipFile

    def read(self, member: zipfile.ZipInfo) -> bytes:
        """Return the content of a member, of which no more than the stated size is unpacked.

        Raises:
            BenchError: The content has another size or checksum, or is damaged.
        """
        try:
            with self._file.open(member) as source:
                content = source.read(member.file_size + 1)
        except _DAMAGED as error:
            raise BenchError(
                f"{shown_name(member)} is damaged: {first_line(error).rstrip('.')}."
            ) from None
        # Python checks the checksum when it has read the stated size, and not for a shorter one.
        if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
            raise BenchError(f"{shown_name(member)} is damaged: its size or checksum is another.")
        return content


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip file and check its directory.

    Raises:
        BenchError: The file is missing or no zip file, its parts contradict each other, or it
            unpacks to too much.
    """
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    with path.open("rb") as raw:
        start, count = _directory(path, raw)
        try:
            file = zipfile.ZipFile(raw)
        except _DAMAGED as error:
            reason = first_line(error).rstrip(".")
            raise BenchError(f"{path}: not a zip file: {reason}.") from None
        with file:
            members = tuple(file.infolist())
            if len(members) != count:
                raise BenchError(f"{path}: not a zip file: it has {len(members):,} members.")
            for member in members:
                _check_kind(path, member)
            _check_places(path, raw, members, start)
            _check_sizes(path, members)
            yield Archive(members, file)


def shown_name(member: zipfile.ZipInfo) -> str:
    """Return the name of a member for a message: short, and without characters that act."""
    return ascii(member.orig_filename)[1:-1][:80]


def _directory(path: Path, raw: BinaryIO) -> tuple[int, int]:
    """Return the place of the directory and the number of its entries.

    The directory has to fill the file up to the record at its end.

    The check comes first, because Python reads the whole directory at once.
    """
    size = raw.seek(0, 2)
    raw.seek(max(0, size - _END.size - _ZIP64.size))
    before, record = (tail := raw.read())[: -_END.size], tail[-_END.size :]
    if len(record) < _END.size or not record.startswith(b"PK\5\6"):
        raise BenchError(f"{path}: not a zip file, or one with a comment or bytes at its end.")
    _, disk, first_disk, here, count, length, start, comment = _END.unpack(record)
    if (disk, first_disk, comment) != (0, 0, 0) or here != count:
        raise BenchError(f"{path}: not a zip file: it is a part of one, or has a comment.")
    if start + length != size - _END.size or before.startswith(b"PK\6\7"):
        raise BenchError(f"{path}: not a zip file: its directory is not where its end says.")
    if count > _MOST_MEMBERS or length > count * _LARGEST_ENTRY:
        raise BenchError(f"{path}: its directory has {count:,} entries and {length:,} bytes.")
    raw.seek(0)
    return int(start), int(count)


def _check_kind(path: Path, member: zipfile.ZipInfo) -> None:
    """Raise an error for a link, a device, an encrypted member or an unusual compression."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    packed = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    # A folder goes on to the check of names, where it is named as what does not belong.
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or member.flag_bits & ~_FLAGS or not packed:
        raise BenchError(f"{path}: {shown_name(member)} is not a regular file.")
    if member.comment:
        raise BenchError(f"{path}: {shown_name(member)} has a comment.")


def _check_places(
    path: Path, raw: BinaryIO, members: tuple[zipfile.ZipInfo, ...], start: int
) -> None:
    """Raise an error unless the members lie one after the other, from the first byte on."""
    end, most = 0, 0
    for member in sorted(members, key=lambda member: member.header_offset):
        last = start - _HEADER.size
        if not (end <= member.header_offset <= end + most and member.header_offset <= last):
            raise BenchError(f"{path}: {shown_name(member)} overlaps another part of the file.")
        raw.seek(member.header_offset)
        header = _HEADER.unpack(raw.read(_HEADER.size))
        same = (b"PK\3\4", member.flag_bits & ~8, member.compress_type)
        if (header[0], header[2] & ~8, header[3]) != same:
            raise BenchError(f"{path}: {shown_name(member)} has another header than entry.")
        end = member.header_offset + _HEADER.size + sum(header[-2:]) + member.compress_size
        most = _SIZES_AFTER if member.flag_bits & 8 else 0
        if end > start:
            raise BenchError(f"{path}: {shown_name(member)} overlaps another part of the file.")
    if end + most < start:
        raise BenchError(f"{path}: holds {start - end:,} bytes before its directory of no member.")
    raw.seek(0)


def _check_sizes(path: Path, members: tuple[zipfile.ZipInfo, ...]) -> None:
    """Raise an error if the members unpack to too much, or to much from few bytes."""
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if total > _LARGEST_TOTAL:
        raise BenchError(
            f"{path}: unpacks to more than {_LARGEST_TOTAL:,} bytes. Share fewer runs."
        )
    if total > max(_FREE_TOTAL, _RATIO * packed):
        raise BenchError(f"{path}: {packed:,} bytes unpack to {total:,}.")
