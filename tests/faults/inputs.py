"""Malformed tables, files of predictions, and values of options."""

import gzip
import io
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Ends = Literal["same", "taken", "refused", "either"]


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: Name, which is unique.
        make: Function that writes the files into a folder, and returns the words of the command.
        ends: How the command must end: with the result of the good input, with any result, with
            one line, or with either.
    """

    name: str
    make: Callable[[Path, Path], list[str]]
    ends: Ends = "refused"


def tables(good: Path) -> Iterator[Input]:
    """Yield tables for ``bench run``."""
    text = good.read_text()
    head, *rows = text.splitlines()
    first = rows[0].split("\t")

    def edited(row: str) -> bytes:
        return "\n".join([head, row, *rows[1:]]).encode() + b"\n"

    def with_target(value: str) -> bytes:
        return edited("\t".join([first[0], value, first[2]]))

    variants: dict[str, tuple[bytes, Ends]] = {
        "CRLF": (text.replace("\n", "\r\n").encode(), "same"),
        "BOM": (b"\xef\xbb\xbf" + text.encode(), "same"),
        "lower case": ("\n".join([head, *map(_lower, rows)]).encode(), "same"),
        "no last newline": (text.rstrip("\n").encode(), "same"),
        "other order of columns": (_turned(text), "same"),
        "empty": (b"", "refused"),
        "header only": (head.encode() + b"\n", "refused"),
        "one row": ("\n".join([head, rows[0]]).encode(), "refused"),
        "no header": ("\n".join(rows).encode(), "refused"),
        "no target": (text.replace("target", "other", 1).encode(), "refused"),
        "a column twice": (text.replace("split", "target", 1).encode(), "refused"),
        "target text": (with_target("abc"), "refused"),
        "target inf": (with_target("inf"), "refused"),
        "target 1e400": (with_target("1e400"), "refused"),
        "target empty": (with_target(""), "either"),
        "target nan": (with_target("nan"), "either"),
        "a digit in the sequence": (edited("AC1GT\t1\ttrain"), "refused"),
        "an empty sequence": (edited("\t1\ttrain"), "refused"),
        "a NUL": (edited("ACGT\0ACGT\t1\ttrain"), "refused"),
        "UTF-16": (text.encode("utf-16"), "refused"),
        "Latin-1": (edited("ACGTÄ\t1\ttrain").decode().encode("latin-1"), "refused"),
        "a missing column": (edited(first[0]), "refused"),
        "an additional value": (edited(rows[0] + "\tmore"), "refused"),
        "an unknown split": (edited(f"{first[0]}\t1\ttraining"), "refused"),
        "no test rows": (text.replace("\ttest\n", "\ttrain\n").encode(), "refused"),
        "random bytes": (np.random.default_rng(1).bytes(5000), "refused"),
        "one line of 30 MB": (b"A" * 30_000_000, "refused"),
        "a quote that never ends": (edited('"' + rows[0]), "refused"),
        "constant targets": (_constant(head, rows), "either"),
        "a column of 10,000 letters": (text.replace("split", "s" * 10_000, 1).encode(), "either"),
        "one sequence of 1 MB": (edited("A" * 1_000_000 + "\t1\ttrain"), "either"),
    }
    for name, (content, ends) in variants.items():
        yield Input(f"table: {name}", _run(content, "t.tsv"), ends)
    packed = gzip.compress(text.encode())
    yield Input("table: gzip", _run(packed, "t.tsv.gz"), "same")
    yield Input("table: gzip, two members", _run(_members(text), "t.tsv.gz"), "same")
    yield Input("table: gzip, cut", _run(packed[: len(packed) // 2], "t.tsv.gz"))
    yield Input("table: gzip, named plain", _run(packed, "t.tsv"), "either")
    yield Input("table: plain, named gzip", _run(text.encode(), "t.tsv.gz"), "either")
    yield Input("table: gzip, 400 MB in one line", _bomb)
    yield Input("table: a folder", lambda place, home: _ridge(place))
    yield Input("table: a device", lambda place, home: _ridge(Path("/dev/null")))


def predictions(table: Path) -> Iterator[Input]:
    """Yield files of predictions for ``bench score``; the table has 50 test rows."""
    count = sum(line.endswith("\ttest") for line in table.read_text().splitlines())
    values = [f"{number / 7:.4f}" for number in range(count)]
    lines = "\n".join(values)

    def one(value: str) -> bytes:
        return "\n".join([value, *values[1:]]).encode()

    numbers = {str(number): number / 7 for number in range(count)}
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    huge = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    variants: dict[str, tuple[bytes, Ends]] = {
        "good.txt": (lines.encode(), "taken"),
        "good.json": (json.dumps(numbers).encode(), "taken"),
        "good.npy": (_npy(np.arange(count) / 7), "taken"),
        "empty.txt": (b"", "refused"),
        "short.txt": ("\n".join(values[1:]).encode(), "refused"),
        "long.txt": ((lines + "\n1").encode(), "refused"),
        "nan.txt": (one("nan"), "refused"),
        "inf.txt": (one("inf"), "refused"),
        "large.txt": (one("1e999"), "refused"),
        "text.txt": (one("x"), "refused"),
        "hex.txt": (one("0x10"), "refused"),
        "binary.txt": (np.random.default_rng(2).bytes(900), "refused"),
        "others.txt": ("\n".join(f"ACGT\t{value}" for value in values).encode(), "refused"),
        "short.json": (json.dumps({"0": 1}).encode(), "refused"),
        "list.json": (json.dumps([1] * count).encode(), "refused"),
        "deep.json": (b"[" * 100_000, "refused"),
        "true.json": (json.dumps({**numbers, "0": True}).encode(), "refused"),
        "twice.json": (b'{"0": 1, ' + json.dumps(numbers).encode()[1:], "refused"),
        "long-number.json": (b'{"0": ' + b"9" * 5000 + b"}", "refused"),
        "matrix.npy": (_npy(np.zeros((count, 2))), "refused"),
        "text.npy": (_npy(np.array(["x"] * count)), "refused"),
        "huge.npy": (huge, "refused"),
        "cut.npy": (_npy(np.zeros(count))[:90], "refused"),
        "complex.npy": (_npy(np.zeros(count, complex)), "refused"),
    }
    for name, (content, ends) in variants.items():

        def make(place: Path, home: Path, name: str = name, content: bytes = content) -> list[str]:
            (place / name).write_bytes(content)
            return ["score", "--task", str(table), "--predictions", str(place / name)]

        yield Input(f"predictions: {name}", make, ends)


def options(table: Path) -> Iterator[Input]:
    """Yield commands with wrong values."""
    run = ["run", "--model", "kmer-ridge", "--task", str(table)]
    wrong = [
        *([*run, "--seed", seed] for seed in ("-1", "x", "1e3", "9" * 30)),
        *([*run, "--set", value] for value in ("model.k=0", "model.k=99", "model.k=x", "k=3", "=")),
        *([*run, "--set", value] for value in ("model.alpha=nan", "model.none=1", "model.k")),
        *([*run, "--fraction", value] for value in ("0", "-1", "nan", "1.1")),
        *([*run, "--device", value] for value in ("tpu", "cuda:99", "", "cpu:x")),
        *([*run, "--devices", value] for value in ("0", "1000", "-2")),
        *([*run, "--max-time", value] for value in ("-1", "x", "nan")),
        *([*run, "--resume", value] for value in ("nothing", "../..", "/", "")),
        *([*run, "--data", value] for value in ("/nowhere", "/dev/null")),
        *([*run, "--plugin", value] for value in ("/nowhere.py", str(table), "/")),
        ["run", "--model", "../x", "--task", str(table)],
        ["run", "--model", "kmer-ridge", "--task", "no-such-task"],
        ["run", "--model", "kmer-ridge"],
        ["leaderboard", "--task", str(table), "--score", "no/score"],
        ["leaderboard", "--task", str(table), "--resamples", "1"],
        ["compare", "a", "b"],
        ["export", "nothing", "--out", "x.zip"],
        ["search", "--status", "--study", "none"],
        ["search", "--resume", "--storage", "sqlite:////nowhere/x.db"],
        ["search", *run[1:], "--trials", "2", "--space", "model.k=8..1"],
        ["search", *run[1:], "--trials", "2", "--storage", "mysql://nobody@127.0.0.1:1/x"],
        ["ui", "--port", "70000"],
        ["nothing"],
    ]
    for words in wrong:
        shown = [word for word in words if word not in run] or words
        yield Input(f"option: {' '.join(shown)[:70]}", lambda place, home, words=words: words)  # type: ignore[misc]
    yield Input("option: a good run", lambda place, home: [*run, "--no-tracking"], "same")


def _ridge(table: Path) -> list[str]:
    return ["run", "--model", "kmer-ridge", "--task", str(table), "--no-tracking"]


def _run(content: bytes, name: str) -> Callable[[Path, Path], list[str]]:
    def make(place: Path, home: Path) -> list[str]:
        (place / name).write_bytes(content)
        return _ridge(place / name)

    return make


def _bomb(place: Path, home: Path) -> list[str]:
    with gzip.open(place / "t.tsv.gz", "wb", 1) as file:
        for _ in range(400):
            file.write(b"A" * 1_000_000)
    return _ridge(place / "t.tsv.gz")


def _lower(row: str) -> str:
    sequence, rest = row.split("\t", 1)
    return f"{sequence.lower()}\t{rest}"


def _turned(text: str) -> bytes:
    return "\n".join("\t".join(line.split("\t")[::-1]) for line in text.splitlines()).encode()


def _constant(head: str, rows: list[str]) -> bytes:
    return "\n".join([head, *("{0}\t1\t{2}".format(*r.split("\t")) for r in rows)]).encode()


def _members(text: str) -> bytes:
    half = len(text) // 2
    return gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode())


def _npy(values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()
