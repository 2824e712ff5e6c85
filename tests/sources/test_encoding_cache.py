"""Cache of encoded tables: content, re-encoding of changed files, and killed processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.console import Console
from bench.data.dataset import Split
from bench.data.sequences import Sequences, decode, encode
from bench.data.tables import pair_blocks
from bench.errors import BenchError
from bench.sources import encoding_cache
from bench.sources.encoding_cache import open_table

ROWS = [("ACGT", 1.5), ("GA", -2.0), ("ACGTACGTACGTAC", 0.1), ("ACGT", 3.0), ("ACGTN", 4.0)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "encoded"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "pairs.txt", ROWS)


def write(path: Path, rows: list[tuple[str, float]]) -> Path:
    path.write_text("".join(f"{letters}\t{number!r}\n" for letters, number in rows))
    return path


def spelt(sequences: Sequences) -> list[str]:
    letters = decode(sequences.tokens)
    return [text[:length] for text, length in zip(letters, sequences.lengths, strict=True)]


@pytest.mark.parametrize("block", [1, 20, 1 << 20])
def test_a_table_comes_back_from_disk_as_it_was(
    path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later blocks have longer rows, so that written rows must be moved to a larger width."""
    monkeypatch.setattr("bench.data.text_lines._BLOCK", block)
    table = open_table(path)
    assert spelt(table.sequences) == [letters for letters, _ in ROWS]
    assert table.numbers.tolist() == [number for _, number in ROWS]
    assert isinstance(table.sequences.base, np.memmap)
    assert table.repeats == 1
    assert decode(table.sequences.base) == [letters.ljust(14, "N") for letters, _ in ROWS]
    np.testing.assert_array_equal(table.sequences.hashes(), encode([s for s, _ in ROWS]).hashes())


def test_rows_move_apart_without_a_loss_beyond_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("ACGTACG", float(row)) for row in range(300_000)]
    monkeypatch.setattr("bench.data.text_lines._BLOCK", 1 << 18)
    table = open_table(write(tmp_path / "long.txt", [*rows, ("A" * 30, 7.0)]))
    assert set(decode(np.unique(table.sequences.base[:-1], axis=0))) == {"ACGTACG" + "N" * 23}
    assert table.numbers[:-1].tolist() == [number for _, number in rows]
    assert spelt(table.sequences.take(np.array([300_000]))) == ["A" * 30]


def test_it_is_encoded_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_table(path)
    monkeypatch.setattr(encoding_cache, "pair_blocks", None)  # whoever reads now fails
    assert len(open_table(path).numbers) == 5


def test_a_changed_file_is_encoded_anew_and_the_old_encoding_leaves(
    path: Path, cache: Path
) -> None:
    stat = path.stat()
    open_table(path)
    write(path, [("TTTT", 9.5), *ROWS[1:]])  # the size is the same
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # with the same modification time
    table = open_table(path)
    assert spelt(table.sequences)[0] == "TTTT"
    assert table.numbers[0] == 9.5
    assert len(list(cache.glob("*/*/meta.json"))) == 1


def test_the_encoding_of_a_file_that_is_gone_leaves_with_the_next_one(
    path: Path, tmp_path: Path, cache: Path
) -> None:
    lost = write(tmp_path / "lost.txt", ROWS)
    table = open_table(lost)
    open_table(path)
    assert len(list(cache.iterdir())) == 2
    lost.unlink()
    open_table(write(tmp_path / "new.txt", ROWS))
    names = sorted(folder.name.rpartition("-")[0] for folder in cache.iterdir())
    assert names == ["new.txt", "pairs.txt"]
    assert table.numbers.tolist() == [number for _, number in ROWS]  # still mapped


def test_an_encoding_of_an_earlier_version_leaves_with_the_next_one(
    path: Path, cache: Path
) -> None:
    (cache / "old.txt-0a" / "state").mkdir(parents=True)
    (cache / "old.txt-0a" / "state" / "meta.json").write_text('{"rows": 5}')
    open_table(path)
    assert [folder.name.rpartition("-")[0] for folder in cache.iterdir()] == ["pairs.txt"]


def test_files_of_one_name_do_not_replace_each_other(
    path: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other" / path.name, [("TTT", 8.0)])
    assert [len(open_table(each).numbers) for each in (path, other)] == [5, 1]
    monkeypatch.setattr(encoding_cache, "pair_blocks", None)  # whoever reads now fails
    assert [len(open_table(each).numbers) for each in (path, other)] == [5, 1]
    assert len(list(cache.iterdir())) == 2


def test_a_file_has_one_encoding_however_its_path_is_typed(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_table(path)
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(encoding_cache, "pair_blocks", None)
    assert len(open_table(Path(path.name)).numbers) == 5
    assert len(open_table(Path("..") / path.parent.name / path.name).numbers) == 5
    assert len(list(cache.iterdir())) == 1


def test_arrays_of_another_meaning_are_not_taken_for_todays(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_table(path)
    (before,) = cache.glob("*/*/meta.json")
    monkeypatch.setattr(encoding_cache, "_VERSION", encoding_cache._VERSION + 1)
    open_table(path)
    (after,) = cache.glob("*/*/meta.json")
    assert before != after


def test_hashes_are_read_and_nobody_can_write_to_an_encoding(path: Path) -> None:
    table = open_table(path)
    arrays = (
        table.sequences.base,
        table.sequences.lengths,
        table.sequences.base_hashes,
        table.numbers,
    )
    for array in arrays:
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


@pytest.mark.parametrize("name", ["absent.txt", "folder"])
def test_what_is_no_file_is_named_and_leaves_nothing(
    tmp_path: Path, cache: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BenchError, match=rf"{name}: no such file\."):
        open_table(tmp_path / name)
    assert not cache.exists()


def test_a_wrong_file_is_named_and_leaves_nothing(path: Path, cache: Path) -> None:
    path.write_text("ACGT\t1\nACXT\t2\n")
    with pytest.raises(BenchError, match=r"pairs\.txt, row 2: letter 'X'"):
        open_table(path)
    assert [found.name for found in cache.glob("*/*")] == [".lock"]


def test_a_file_that_grows_while_it_is_read_is_refused(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = pair_blocks

    def growing(path: Path):  # type: ignore[no-untyped-def]
        yield from blocks(path)
        with path.open("a") as file:
            file.write("AC\t1\n")

    monkeypatch.setattr(encoding_cache, "pair_blocks", growing)
    with pytest.raises(BenchError, match=r"has changed while it was read\. Try again\."):
        open_table(path)
    assert not list(cache.glob("*/*/meta.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_named(path: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(BenchError, match="Name another folder by BENCH_CACHE"):
        open_table(path)


def test_a_cache_that_is_a_file_is_named(path: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(BenchError, match="Name another folder by BENCH_CACHE"):
        open_table(path)


OPEN = "import sys; from pathlib import Path; from bench.sources.encoding_cache import open_table\n"


def test_two_processes_that_ask_at_once_encode_once(path: Path, cache: Path) -> None:
    count = (
        "import bench.sources.encoding_cache as e; write = e._write\n"
        "def counted(*a): open('written', 'a').write('x'); import time; time.sleep(.5); write(*a)\n"
        "e._write = counted\n"
    )
    code = OPEN + count + "print(len(open_table(Path(sys.argv[1])).numbers))"
    command = [sys.executable, "-c", code, str(path)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=path.parent)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["5", "5"]
    assert (path.parent / "written").read_text() == "x"


def test_a_process_killed_while_it_encodes_leaves_nothing_that_counts(
    path: Path, cache: Path
) -> None:
    stall = (
        "import bench.sources.encoding_cache as e, time; blocks = e.pair_blocks\n"
        "def slow(path):\n    yield from blocks(path)\n    time.sleep(60)\n"
        "e.pair_blocks = slow\n"
    )
    code = OPEN + stall + "open_table(Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    while not list(cache.glob("*/*/tokens")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(cache.glob("*/*/meta.json"))
    assert len(open_table(path).numbers) == 5
    folders = [found for found in cache.glob("*/*") if found.is_dir()]
    assert len(folders) == 1  # the killed process's files are removed


ARRAYS = ("tokens", "lengths", "numbers", "hashes")


def rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Write to a file in place, as a failing disk or another program would."""
    content = change(file.read_bytes())
    with file.open("r+b") as out:
        out.write(content)
        out.truncate()


def middle(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def earlier_path(content: bytes) -> bytes:
    return content.replace(b"pairs.txt", b"pairs.tx_")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "one bit in the middle": middle,
    "one bit at the start": lambda content: bytes([content[0] ^ 4]) + content[1:],
    "two bytes change places": lambda content: content[8:16] + content[:8] + content[16:],
    "all zeros": lambda content: bytes(len(content)),
    "half of it": lambda content: content[: len(content) // 2],
    "one byte less": lambda content: content[:-1],
    "one byte more": lambda content: content + b"\0",
    "nothing": lambda content: b"",
}
HEADERS: dict[str, Callable[[bytes], bytes]] = {
    "no text": lambda content: b"\xff\xfe\0",
    "another value": lambda content: b"[]",
    "no field": lambda content: b"{}",
    "another number": lambda content: content.replace(b'"rows": 5', b'"rows": 4'),
    "another size": lambda content: content.replace(b'"width": 16', b'"width": 12'),
    "another path": earlier_path,
    "very deep": lambda content: b"[" * 100_000,
    **DAMAGES,
}


class Lines(Console):
    """A console that keeps its warnings."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.told: list[str] = []

    def warn(self, text: str | None) -> None:
        if text:
            self.told.append(text)


@pytest.mark.parametrize(
    ("name", "damage"),
    [*((n, d) for n in ARRAYS for d in DAMAGES), *(("meta.json", d) for d in HEADERS)],
)
def test_a_damaged_file_is_named_and_the_table_encoded_again(
    path: Path, cache: Path, name: str, damage: str
) -> None:
    hashes = np.array(open_table(path).sequences.hashes())
    (file,) = cache.glob(f"*/*/{name}")
    written = file.read_bytes()
    rewrite(file, HEADERS[damage])
    console = Lines()
    table = open_table(path, console)
    (line,) = console.told
    assert line.startswith(f"{file}: ")
    assert line.endswith(f"{path} was encoded again.")
    assert spelt(table.sequences) == [letters for letters, _ in ROWS]
    assert table.numbers.tolist() == [number for _, number in ROWS]
    np.testing.assert_array_equal(table.sequences.hashes(), hashes)
    (again,) = cache.glob(f"*/*/{name}")
    assert again.read_bytes() == written
    open_table(path, console)
    assert len(console.told) == 1


@pytest.mark.parametrize("name", [*ARRAYS, "meta.json", ""])
def test_a_missing_file_is_named_unless_all_are_missing(path: Path, cache: Path, name: str) -> None:
    open_table(path)
    (folder,) = (found.parent for found in cache.glob("*/*/tokens"))
    if name:
        (folder / name).unlink()
    else:
        shutil.rmtree(folder)
    console = Lines()
    assert len(open_table(path, console).numbers) == 5
    assert [line.partition(": ")[0] for line in console.told] == [str(folder / name)] * bool(name)


@pytest.mark.parametrize("kind", ["file", "link", "folder in place of an array"])
def test_something_else_in_the_place_of_an_encoding_makes_room(
    path: Path, cache: Path, tmp_path: Path, kind: str
) -> None:
    open_table(path)
    (folder,) = (found.parent for found in cache.glob("*/*/tokens"))
    if kind == "folder in place of an array":
        (folder / "hashes").unlink()
        (folder / "hashes").mkdir()
    else:
        shutil.rmtree(folder)
        folder.write_text("") if kind == "file" else folder.symlink_to(tmp_path)
    console = Lines()
    assert len(open_table(path, console).numbers) == 5
    assert len(console.told) == 1
    assert path.exists()


def test_arrays_that_are_mapped_outlive_their_damaged_files(path: Path, cache: Path) -> None:
    before = open_table(path)
    (file,) = cache.glob("*/*/lengths")
    rewrite(file, middle)
    open_table(path)
    assert before.numbers.tolist() == [number for _, number in ROWS]
    assert decode(before.sequences.tokens)[0] == "ACGT".ljust(14, "N")


def test_two_processes_that_meet_a_damage_encode_once_and_say_it_once(
    path: Path, cache: Path
) -> None:
    open_table(path)
    (file,) = cache.glob("*/*/tokens")
    rewrite(file, middle)
    count = (
        "import bench.sources.encoding_cache as e; write = e._write\n"
        "from bench.console import Console\n"
        "def counted(*a): import time; time.sleep(1.5); write(*a)\n"
        "e._write = counted\n"
    )
    code = OPEN + count + "print(len(open_table(Path(sys.argv[1]), Console()).numbers))"
    command = [sys.executable, "-c", code, str(path)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in both]
    assert [output for output, _ in outputs] == ["5\n", "5\n"]
    assert sum(errors.count("was encoded again") for _, errors in outputs) == 1


def test_a_damaged_header_does_not_keep_other_tables_from_being_encoded(
    path: Path, tmp_path: Path, cache: Path
) -> None:
    open_table(path)
    (file,) = cache.glob("*/*/meta.json")
    for content in (b"{", b"\xff", b"[" * 100_000, b'"text"', b'{"encoding": {"path": 7}}'):
        rewrite(file, lambda _, content=content: content)  # type: ignore[misc]
        table = open_table(write(tmp_path / f"other{len(content)}.txt", ROWS))
        assert len(table.numbers) == 5
        console = Lines()
        assert len(open_table(path, console).numbers) == 5
        (file,) = cache.glob("pairs*/*/meta.json")


def test_a_changed_letter_never_gets_the_true_fingerprint(path: Path, cache: Path) -> None:
    """The fingerprint is made of stored hashes, so tokens that differ from them must not pass."""

    def fingerprint() -> tuple[str, list[str]]:
        table = open_table(path)
        return Split(table.sequences, table.numbers).fingerprint, spelt(table.sequences)

    true = fingerprint()
    assert true[0] == Split.of([s for s, _ in ROWS], [number for _, number in ROWS]).fingerprint
    (file,) = cache.glob("*/*/tokens")
    size = file.stat().st_size
    for place in range(size):
        rewrite(file, lambda c, at=place: c[:at] + bytes([(c[at] + 1) % 4]) + c[at + 1 :])  # type: ignore[misc]
        assert fingerprint() == true
        (file,) = cache.glob("*/*/tokens")


def as_nobody(path: Path, cache: Path) -> str:
    """Open a table in a process that may read the cache and not write it; return what it says."""
    closed = [folder for folder in path.parents if not folder.stat().st_mode & 0o001]
    for folder in [*closed, cache.parent, *cache.rglob("*")]:
        folder.chmod(0o755 if folder.is_dir() else 0o644)
    read, write = os.pipe()
    if not (child := os.fork()):
        os.setuid(65534)
        try:
            text = f"{len(open_table(path).numbers)} rows"
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_cache_that_is_read_only_works_until_it_is_damaged(path: Path, cache: Path) -> None:
    open_table(path)
    assert as_nobody(path, cache) == "5 rows"
    (file,) = cache.glob("*/*/numbers")
    rewrite(file, middle)
    text = as_nobody(path, cache)
    assert text.startswith(f"BenchError: {file}: damaged, its content has changed. Cannot write ")
    assert text.endswith(": Permission denied. Name another folder by BENCH_CACHE.")
    assert "\n" not in text


def test_files_and_folder_are_on_the_disk_before_the_folder_has_its_name(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def recorded(place: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{place}")).name)
        fsync(place)

    monkeypatch.setattr(os, "fsync", recorded)
    open_table(path)
    (folder,) = (found.parent for found in cache.glob("*/*/tokens"))
    assert sorted(synced[:5]) == sorted([*ARRAYS, "meta.json"])
    assert synced[5].startswith(".making.")  # the folder, before it is renamed
    assert synced[6:] == [folder.parent.name]
