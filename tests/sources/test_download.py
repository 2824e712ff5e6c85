"""Downloads with every kind of fault: requests, files on the disk, and messages."""

import hashlib
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cards import RemoteFile
from bench.console import Console
from bench.errors import BenchError
from bench.sources.download import Checked, State, fetch_all, limits, state, verify
from tests.fault_server import Answer, FaultServer

BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA, OTHER_SHA = (hashlib.sha256(body).hexdigest() for body in (BODY, OTHER))
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
GOOD = Answer(body=BODY)
TAGGED = Answer(body=BODY, headers={"ETag": '"one"'})
NEWER = Answer(body=OTHER, headers={"ETag": '"two"'})
CUT = replace(GOOD, stop=100_000)
TAGGED_CUT = replace(TAGGED, stop=100_000)
REST = "bytes=100000-"
DONE = [".lock", "data.txt", "downloads.json"]
PARTLY = [".lock", "data.txt.part", "data.txt.part.json"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(limits, "STALL_SECONDS", 0.2)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as faults:
        yield faults


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dream"


def remote(server: FaultServer, *answers: Answer, **published: Any) -> RemoteFile:
    """Set the server's answers; return the file that it serves."""
    if answers:
        server.answers["/data.txt"] = list(answers)
    return RemoteFile(name="data.txt", url=f"{server.url}/data.txt", **published)


def on_disk(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def records(folder: Path) -> Any:
    return json.loads((folder / "downloads.json").read_text())


def fails(file: RemoteFile, folder: Path, **options: Any) -> str:
    """Fetch a file whose download fails; return the one-line message."""
    with pytest.raises(BenchError) as raised:
        fetch_all([file], folder, Console(), **options)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert not re.search(r"urllib3|HTTPConnection|Max retries|Error\(|object at", message)
    return message


def test_a_file_comes_whole_is_recorded_and_is_not_asked_for_again(
    server: FaultServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"ETag": 'W/"weak"', "Last-Modified": DATE}
    file = remote(server, replace(GOOD, headers=headers))
    fetch_all([file], folder, Console())
    assert (folder / "data.txt").read_bytes() == BODY
    assert on_disk(folder) == DONE
    (record,) = records(folder).values()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record.pop("time"))
    assert record == {
        "url": file.url,
        "size": 300_000,
        "sha256": SHA,
        "kind": "recorded",
        "etag": 'W/"weak"',
        "last_modified": DATE,
    }
    told = "data.txt: 0.3 MB, no hash is published; recorded in downloads.json"
    assert told in capsys.readouterr().err
    (folder / ".lock").unlink()
    fetch_all([file], folder, Console())
    assert len(server.asked) == 1
    assert server.asked[0].encoding == "identity"
    assert on_disk(folder) == DONE[1:]  # a complete folder may be read-only


@pytest.mark.parametrize(
    ("answers", "published", "ranges", "body"),
    [
        pytest.param([TAGGED_CUT, TAGGED], {}, [None, REST], BODY, id="cut"),
        pytest.param([replace(TAGGED_CUT, stall=True), TAGGED], {}, [None, REST], BODY, id="stall"),
        pytest.param(
            [replace(TAGGED_CUT, framing="chunks"), replace(TAGGED, framing="chunks")],
            {},
            [None, REST],
            BODY,
            id="cut in chunks",
        ),
        pytest.param(
            [replace(CUT, headers={"Last-Modified": DATE}), GOOD],
            {},
            [None, REST],
            BODY,
            id="only a date",
        ),
        pytest.param([CUT, GOOD], {}, [None, None], BODY, id="nothing to tell versions apart"),
        pytest.param([CUT, GOOD], {"sha256": SHA}, [None, REST], BODY, id="a hash will tell"),
        pytest.param(
            [replace(CUT, headers={"ETag": 'W/"one"'}), GOOD],
            {},
            [None, None],
            BODY,
            id="a weak tag does not promise bytes",
        ),
        pytest.param(
            [TAGGED_CUT, replace(TAGGED, ranges=False)], {}, [None, REST], BODY, id="no ranges"
        ),
        pytest.param([TAGGED_CUT, NEWER], {}, [None, REST], OTHER, id="changed"),
        pytest.param(
            [TAGGED_CUT, replace(NEWER, if_range=False), NEWER],
            {},
            [None, REST, None],
            OTHER,
            id="changed, If-Range ignored",
        ),
        pytest.param(
            [TAGGED_CUT, replace(TAGGED, shift=-10), TAGGED],
            {},
            [None, REST, None],
            BODY,
            id="range from elsewhere",
        ),
        pytest.param(
            [TAGGED_CUT, replace(TAGGED, headers={**TAGGED.headers, "Content-Range": "?"}), TAGGED],
            {},
            [None, REST, None],
            BODY,
            id="range from nowhere",
        ),
        pytest.param([Answer(status=500)] * 3 + [GOOD], {}, [None] * 4, BODY, id="500 thrice"),
        pytest.param([Answer(status=429), GOOD], {}, [None] * 2, BODY, id="429"),
        pytest.param([Answer(status=502), GOOD], {}, [None] * 2, BODY, id="502"),
        pytest.param([Answer(status=503), GOOD], {}, [None] * 2, BODY, id="503"),
        pytest.param([Answer(status=504), GOOD], {}, [None] * 2, BODY, id="504"),
        pytest.param(
            [Answer(body=OTHER), GOOD], {"sha256": SHA}, [None] * 2, BODY, id="corrupt once"
        ),
        pytest.param(
            [replace(GOOD, framing="closing", stop=100_000), GOOD],
            {"size": 300_000, "sha256": SHA},
            [None, REST],
            BODY,
            id="cut where only the published size shows it",
        ),
        pytest.param(
            [replace(TAGGED_CUT, stop=n) for n in [1, *[20_000] * 14]] + [TAGGED],
            {},
            [None, *[f"bytes={1 + 20_000 * n}-" for n in range(15)]],
            BODY,
            id="many cuts, each further",
        ),
    ],
)
def test_a_fault_that_passes_leaves_no_trace(
    answers: list[Answer],
    published: dict[str, Any],
    ranges: list[str | None],
    body: bytes,
    server: FaultServer,
    folder: Path,
) -> None:
    fetch_all([remote(server, *answers, **published)], folder, Console())
    assert (folder / "data.txt").read_bytes() == body
    assert on_disk(folder) == DONE
    assert server.ranges() == ranges
    assert records(folder)["data.txt"]["sha256"] == hashlib.sha256(body).hexdigest()


AGAIN = "Run the command again to continue the download. Try another source by mirror=URL"
ELSEWHERE = "Try another source by mirror=URL, or source=DIR with files you have."


@pytest.mark.parametrize(
    ("answers", "published", "asked", "left", "message"),
    [
        pytest.param(
            [TAGGED_CUT, *[replace(TAGGED, stop=0)] * 5],
            {},
            6,
            PARTLY,
            f"the connection broke off, 5 times (URL). {AGAIN}",
            id="cut",
        ),
        pytest.param(
            [replace(TAGGED_CUT, ranges=False)],
            {},
            6,
            PARTLY,
            f"the connection broke off, 5 times (URL). {AGAIN}",
            id="always cut at the same byte, no ranges",
        ),
        pytest.param(
            [replace(TAGGED, stop=0, stall=True)],
            {},
            5,
            PARTLY,
            f"no data for 0.2 s, 5 times (URL). {AGAIN}",
            id="stall",
        ),
        pytest.param(
            [Answer(status=503)],
            {},
            5,
            [".lock"],
            f"the server answers 503, 5 times (URL). {AGAIN}",
            id="503",
        ),
        *(
            pytest.param(
                [Answer(status=code)],
                {},
                1,
                [".lock"],
                f"the server answers {code} {words} (URL). {ELSEWHERE}",
                id=str(code),
            )
            for code, words in [(404, "Not Found"), (403, "Forbidden"), (410, "Gone")]
        ),
        pytest.param(
            [Answer(status=202)],
            {},
            1,
            [".lock"],
            "the server answers 202 Accepted (URL)",
            id="not ready",
        ),
        pytest.param(
            [Answer(status=302, headers={"Location": "/data.txt"})],
            {},
            11,
            [".lock"],
            f"redirected without end (URL). {ELSEWHERE}",
            id="redirect loop",
        ),
        pytest.param(
            [Answer(status=302, headers={"Location": "ftp://127.0.0.1/data.txt"})],
            {},
            1,
            [".lock"],
            f"the URL, or its redirect, is not a web address (URL). {ELSEWHERE}",
            id="redirect to another protocol",
        ),
        pytest.param(
            [Answer(body=b"<html>", headers={"Content-Type": "text/html; charset=utf-8"})],
            {},
            1,
            [".lock"],
            f"the server sends a web page, not the file (URL). {ELSEWHERE}",
            id="web page",
        ),
        pytest.param(
            [replace(GOOD, headers={"Content-Encoding": "gzip"})],
            {},
            1,
            [".lock"],
            f"the server sends the file compressed (gzip), without request (URL). {ELSEWHERE}",
            id="gzip",
        ),
        pytest.param(
            [GOOD],
            {"size": 300_001},
            1,
            [".lock"],
            "its size is 300,000 bytes, published is 300,001; not downloaded (URL)",
            id="another size",
        ),
        pytest.param(
            [replace(GOOD, headers={"Content-Length": "300001"}, stop=300_000)],
            {},
            6,
            PARTLY,
            f"the connection broke off, 5 times (URL). {AGAIN}",
            id="announces more than there is",
        ),
        pytest.param(
            [replace(GOOD, framing="closing")],
            {},
            1,
            [".lock"],
            f"the server does not say where the file ends (URL). {ELSEWHERE}",
            id="nothing tells the end",
        ),
        pytest.param(
            [Answer(body=OTHER)],
            {"sha256": SHA},
            2,
            [".lock"],
            f"its sha256 is {OTHER_SHA[:12]}…, published is {SHA[:12]}…; the file was removed "
            "(URL).",
            id="corrupt",
        ),
    ],
)
def test_a_fault_that_stays_is_one_line_and_never_a_finished_file(
    answers: list[Answer],
    published: dict[str, Any],
    asked: int,
    left: list[str],
    message: str,
    server: FaultServer,
    folder: Path,
) -> None:
    file = remote(server, *answers, **published)
    told = fails(file, folder)
    assert told.startswith(f"data.txt: {message.replace('(URL)', f'({file.url})')}")
    assert on_disk(folder) == left
    assert len(server.asked) == asked
    assert server.asked[-1].time - server.asked[0].time < 4  # a stall is 0.2 s


def test_the_next_start_asks_only_for_the_rest(server: FaultServer, folder: Path) -> None:
    file = remote(server, TAGGED_CUT, *[Answer(status=500)] * 5, TAGGED)
    fails(file, folder)
    assert state([file], folder) == [State("data.txt", "part", 100_000)]
    fetch_all([file], folder, Console())
    assert (folder / "data.txt").read_bytes() == BODY
    assert (server.asked[-1].range, server.asked[-1].if_range) == (REST, '"one"')
    assert on_disk(folder) == DONE


@pytest.mark.parametrize(
    ("published", "ranges"),
    [({}, [None, None]), ({"sha256": SHA}, [None, REST])],
    ids=["only with a hash", "a hash will tell"],
)
def test_a_mirror_goes_on_with_what_came_from_elsewhere(
    published: dict[str, Any], ranges: list[str | None], server: FaultServer, folder: Path
) -> None:
    """The ETag of one server is not valid for another server, so it is not sent."""
    file = remote(server, TAGGED_CUT, Answer(status=404), **published)
    server.answers["/copy/data.txt"] = [replace(TAGGED, headers={"ETag": '"theirs"'})]
    fails(file, folder)
    fetch_all([file], folder, Console(), mirror=f"{server.url}/copy/")
    assert (folder / "data.txt").read_bytes() == BODY
    asked = [server.asked[0], server.asked[-1]]
    assert [a.path for a in asked] == ["/data.txt", "/copy/data.txt"]
    assert [a.range for a in asked] == ranges
    assert asked[1].if_range is None
    began = [a.path for a in asked if a.range is None][-1]
    assert records(folder)["data.txt"]["url"] == f"{server.url}{began}"


@pytest.mark.parametrize(
    ("part", "published", "ranges"),
    [
        (BODY, {}, ["bytes=300000-"]),
        (BODY, {"size": 300_000}, []),
        (BODY + b"x", {}, ["bytes=300001-", None]),
        (BODY + b"x", {"size": 300_000}, [None]),
        (OTHER, {"size": 300_000, "sha256": SHA}, [None]),
    ],
    ids=["whole", "whole by its size", "too long", "too long by its size", "wrong"],
)
def test_a_part_of_full_length_is_checked_and_one_that_is_longer_begun_again(
    part: bytes,
    published: dict[str, Any],
    ranges: list[str | None],
    server: FaultServer,
    folder: Path,
) -> None:
    file = remote(server, TAGGED, **published)
    folder.mkdir()
    (folder / "data.txt.part").write_bytes(part)
    note = {"url": file.url, "etag": '"one"', "last_modified": None}
    (folder / "data.txt.part.json").write_text(json.dumps(note))
    fetch_all([file], folder, Console())
    assert (folder / "data.txt").read_bytes() == BODY
    assert server.ranges() == ranges
    assert on_disk(folder) == DONE


def test_the_server_says_how_long_to_wait_within_reason(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.answers["/none"] = [Answer(status=404)]
    answers = [
        Answer(status=code, headers={"Retry-After": value})
        for code, value in [(429, "7"), (503, "86400"), (503, "Wed, 01 Jan 2200 00:00:00 GMT")]
    ]
    fetch_all([remote(server, *answers, Answer(status=503), GOOD)], folder, Console())
    waits = [wait for wait in waits if wait]  # without waits of the server
    assert waits[:3] == [7, 120, 120]
    assert 0 < waits[3] < 0.1


def test_waits_grow_until_something_comes(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(limits, "BACKOFF_SECONDS", 1.0)
    lost = Answer(status=503)
    fetch_all([remote(server, lost, lost, lost, TAGGED_CUT, lost, TAGGED)], folder, Console())
    waits = [wait for wait in waits if wait]
    assert len(set(waits)) == len(waits) == 5
    for wait, middle in zip(waits, [1, 2, 4, 1, 1], strict=True):
        assert 0.75 * middle <= wait <= 1.25 * middle


def test_a_later_download_must_give_what_the_first_gave(server: FaultServer, folder: Path) -> None:
    file = remote(server, GOOD, Answer(body=OTHER))
    fetch_all([file], folder, Console())
    before = records(folder)
    (folder / "data.txt").unlink()
    message = fails(file, folder)
    assert f"is {OTHER_SHA[:12]}…, recorded at the first download is {SHA[:12]}…" in message
    assert records(folder) == before
    assert on_disk(folder) == [".lock", "downloads.json"]


def test_a_hash_published_later_replaces_the_recorded_one(
    server: FaultServer, folder: Path
) -> None:
    file = remote(server, GOOD, Answer(body=OTHER))
    fetch_all([file], folder, Console())
    (folder / "data.txt").unlink()
    fetch_all([replace(file, sha256=OTHER_SHA)], folder, Console())
    assert (folder / "data.txt").read_bytes() == OTHER
    assert records(folder)["data.txt"]["kind"] == "published"
    assert records(folder)["data.txt"]["sha256"] == OTHER_SHA


@pytest.mark.parametrize("published", [{"sha256": OTHER_SHA}, {"size": 5}])
def test_what_is_published_later_is_held_against_a_recorded_file(
    published: dict[str, Any], server: FaultServer, folder: Path
) -> None:
    file = remote(server, GOOD)
    fetch_all([file], folder, Console())
    message = fails(replace(file, **published), folder)
    assert message.startswith(f"{folder}/data.txt exists, but its {next(iter(published))} is")
    assert (folder / "data.txt").read_bytes() == BODY


def test_a_file_is_on_the_disk_before_it_has_its_name(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda f: synced.append((os.fstat(f).st_ino, on_disk(folder))))
    fetch_all([remote(server, TAGGED)], folder, Console())
    assert ((folder / "data.txt").stat().st_ino, PARTLY) in synced


@pytest.mark.parametrize(("sha256", "kind"), [(None, "recorded"), (SHA, "published")])
def test_a_file_that_was_put_there_is_recorded_and_not_downloaded(
    sha256: str | None, kind: str, server: FaultServer, folder: Path
) -> None:
    folder.mkdir()
    (folder / "data.txt").write_bytes(BODY)
    file = remote(server, sha256=sha256)
    assert state([file], folder) == [State("data.txt", "unchecked", 300_000)]
    fetch_all([file], folder, Console())
    assert server.asked == []
    assert records(folder)["data.txt"]["sha256"] == SHA
    assert records(folder)["data.txt"]["url"] is None
    assert [(s.kind, s.size) for s in state([file], folder)] == [(kind, 300_000)]


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        ({"sha256": SHA}, f"its sha256 is {OTHER_SHA[:12]}…, published is {SHA[:12]}…"),
        ({"size": 5}, "its size is 300,000 bytes, published is 5"),
    ],
)
def test_a_wrong_file_that_was_put_there_is_named_and_left_alone(
    published: dict[str, Any], reason: str, server: FaultServer, folder: Path
) -> None:
    folder.mkdir()
    (folder / "data.txt").write_bytes(OTHER)
    message = fails(remote(server, GOOD, **published), folder)
    assert message == (
        f"{folder}/data.txt exists, but {reason}. Move it away and run the command again."
    )
    assert (folder / "data.txt").read_bytes() == OTHER
    assert on_disk(folder) == [".lock", "data.txt"]
    assert server.asked == []


def test_verify_finds_what_changed_on_the_disk(server: FaultServer, folder: Path) -> None:
    server.answers = {f"/{name}": [GOOD] for name in "abcd"}
    files = [RemoteFile(name=f"{name}.txt", url=f"{server.url}/{name}") for name in "abcd"]
    files[0] = replace(files[0], sha256=SHA, size=300_000)
    fetch_all(files[:3], folder, Console())
    assert [(c.against, c.ok) for c in verify(files, folder)] == [
        ("published", True),
        ("recorded", True),
        ("recorded", True),
        ("missing", False),
    ]
    (folder / "a.txt").write_bytes(BODY[:-1] + b"?")
    (folder / "b.txt").write_bytes(OTHER)
    (folder / "c.txt").write_bytes(BODY[:7])
    (folder / "d.txt").write_bytes(BODY)
    first, *rest = verify(files, folder)
    assert not first.ok
    assert str(first.fault).endswith(f"published is {SHA[:12]}…")
    recorded = f"its sha256 is {OTHER_SHA[:12]}…, recorded at the first download is {SHA[:12]}…"
    seven = hashlib.sha256(BODY[:7]).hexdigest()
    short = "its size is 7 bytes, recorded at the first download is 300,000"
    assert rest == [
        Checked("b.txt", 300_000, OTHER_SHA, "recorded", recorded),
        Checked("c.txt", 7, seven, "recorded", short),
        Checked("d.txt", 300_000, SHA, "nothing", None),
    ]
    assert [s.kind for s in state(files, folder)] == [
        "published",
        "recorded",
        "unchecked",
        "unchecked",
    ]


def test_nothing_is_there_before_the_first_download(tmp_path: Path) -> None:
    file = RemoteFile(name="data.txt", url="http://127.0.0.1:9/data.txt")
    assert state([file], tmp_path / "none") == [State("data.txt", "missing", 0)]
    (checked,) = verify([file], tmp_path / "none")
    assert checked == Checked("data.txt", None, None, "missing", "it is missing")
    assert not (tmp_path / "none").exists()


def test_damaged_records_are_one_line(server: FaultServer, folder: Path) -> None:
    folder.mkdir()
    for text in ("{", "[]", '{"data.txt": {"size": 3}}'):
        (folder / "downloads.json").write_text(text)
        message = fails(remote(server, GOOD), folder)
        assert message == (
            f"{folder}/downloads.json cannot be read. Remove it: the files are then hashed anew."
        )


def test_a_redirect_is_followed_and_its_tag_is_the_part_s(
    server: FaultServer, folder: Path
) -> None:
    file = remote(server, Answer(status=302, headers={"Location": "/else/where"}))
    server.answers["/else/where"] = [TAGGED_CUT, TAGGED]
    fetch_all([file], folder, Console())
    assert (folder / "data.txt").read_bytes() == BODY
    assert server.ranges() == [None, None, REST, REST]
    assert records(folder)["data.txt"]["url"] == file.url


def test_a_proxy_is_used(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.answers["http://data.invalid/data.txt"] = [GOOD]
    file = RemoteFile(name="data.txt", url="http://data.invalid/data.txt")
    fetch_all([file], folder, Console())
    assert (folder / "data.txt").read_bytes() == BODY
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert "the proxy cannot be reached, 5 times" in fails(file, folder.with_name("b"))


def test_a_mirror_has_files_under_their_names(server: FaultServer, folder: Path) -> None:
    server.answers["/copy/ids/yeast%20%231.csv"] = [GOOD]
    file = RemoteFile(name="ids/yeast #1.csv", url=f"{server.url}/gone")
    fetch_all([file], folder, Console(), mirror=f"{server.url}/copy")
    assert on_disk(folder) == [".lock", "downloads.json", "ids/yeast #1.csv"]
    assert [asked.path for asked in server.asked] == ["/copy/ids/yeast%20%231.csv"]


def test_nobody_answers(folder: Path) -> None:
    file = RemoteFile(name="data.txt", url="http://127.0.0.1:9/data.txt")
    assert fails(file, folder).startswith(f"data.txt: no connection, 5 times ({file.url}). {AGAIN}")
    message = fails(file, folder, mirror="nowhere")
    assert message.startswith("data.txt: the URL, or its redirect, is not a web address (nowhere")
    assert on_disk(folder) == [".lock"]


def test_files_from_a_folder_are_copied_by_name_or_base_name(
    server: FaultServer, folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "usb"
    (source / "ids").mkdir(parents=True)
    for path in ("ids/a.csv", "b.csv"):
        (source / path).write_bytes(BODY)
    (source / "a.csv").write_bytes(OTHER)  # the full name is preferred
    files = [
        RemoteFile(name="ids/a.csv", url=server.url, sha256=SHA),
        RemoteFile(name="ids/b.csv", url=server.url),
    ]
    fetch_all(files, folder, Console(), source=source)
    assert on_disk(folder) == [".lock", "downloads.json", "ids/a.csv", "ids/b.csv"]
    assert all((folder / file.name).read_bytes() == BODY for file in files)
    assert records(folder)["ids/b.csv"]["url"] == f"file://{source}/b.csv"
    assert server.asked == []


def test_files_missing_from_a_folder_are_named_and_none_is_copied(
    server: FaultServer, folder: Path, tmp_path: Path
) -> None:
    """A base name that two files share does not identify a file."""
    source = tmp_path / "usb"
    source.mkdir()
    for path in ("a.csv", "b.csv"):
        (source / path).write_bytes(BODY)
    files = [RemoteFile(name=name, url=server.url) for name in ("a.csv", "x/b.csv", "y/b.csv")]
    with pytest.raises(
        BenchError, match=r"^source \S+/usb has no x/b.csv, y/b.csv\. Without source"
    ):
        fetch_all(files, folder, Console(), source=source)
    assert on_disk(folder) == [".lock"]
    assert server.asked == []


def test_a_wrong_file_from_a_folder_is_refused(
    server: FaultServer, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "data.txt").write_bytes(OTHER)
    message = fails(remote(server, sha256=SHA), folder, source=tmp_path)
    assert message.startswith(f"{tmp_path}/data.txt is not the expected file: its sha256 is")
    assert on_disk(folder) == [".lock"]
    assert (tmp_path / "data.txt").read_bytes() == OTHER


def test_a_copy_that_is_stopped_is_not_taken_for_a_download(
    server: FaultServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = remote(server, TAGGED_CUT, Answer(status=404))
    fails(file, folder)
    assert on_disk(folder) == PARTLY

    def stopped(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:9])
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", stopped)
    (tmp_path / "data.txt").write_bytes(OTHER)
    with pytest.raises(KeyboardInterrupt):
        fetch_all([file], folder, Console(), source=tmp_path)
    assert on_disk(folder) == [".lock", "data.txt.part"]
    server.answers["/data.txt"] = [TAGGED]
    fetch_all([file], folder, Console())
    assert (folder / "data.txt").read_bytes() == BODY


def test_a_full_disk_is_one_line(server: FaultServer, folder: Path) -> None:
    folder.mkdir()
    (folder / "data.txt.part").symlink_to("/dev/full")  # every write fails: no space left
    message = fails(remote(server, GOOD), folder)
    assert message.startswith(f"cannot put files into {folder}: No space left on device. Make room")
    assert "to continue the download" in message
    assert on_disk(folder) == PARTLY


def test_a_folder_that_cannot_be_is_one_line(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    message = fails(remote(server, GOOD), tmp_path / "taken" / "dream")
    assert message.startswith(f"cannot put files into {tmp_path}/taken/dream: Not a directory (")
    assert "name another folder by BENCH_CACHE" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_one_line(server: FaultServer, folder: Path) -> None:
    folder.mkdir(mode=0o555)
    message = fails(remote(server, GOOD), folder)
    assert message.startswith(f"cannot put files into {folder}: Permission denied (")
    assert on_disk(folder) == []


@pytest.mark.parametrize("name", ["../a.txt", "a/../../b.txt", "/etc/passwd", "", "."])
def test_a_name_that_leaves_the_folder_is_a_programming_error(name: str) -> None:
    with pytest.raises(ValueError, match="a path inside the folder"):
        RemoteFile(name=name, url="http://127.0.0.1:9/")


def test_a_hash_that_is_none_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="not a lower-case sha256"):
        RemoteFile(name="a.txt", url="http://127.0.0.1:9/", sha256=SHA.upper())


def test_without_a_terminal_progress_is_a_line_now_and_then(
    server: FaultServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(limits, "PLAIN_SECONDS", 0.04)
    body = BODY * 4
    fetch_all([remote(server, Answer(body=body, slow=0.02))], folder, Console())
    *lines, last = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 12
    shape = r"  data.txt: [01]/1 MB, (\d+\.\d) MB/s, 0:00:0\d left"
    speeds = [found[1] for line in lines if (found := re.fullmatch(shape, line))]
    assert len(speeds) == len(lines)
    assert all(0.3 < float(speed) < 3.4 for speed in speeds)  # 64 KiB in 20 ms, at the very best
    assert last.startswith("  data.txt: 1.2 MB")


CHILD = (
    "import sys; from pathlib import Path\n"
    "from bench.cards import RemoteFile; from bench.sources.download import fetch_all\n"
    "from bench.console import Console\n"
    "fetch_all([RemoteFile(name='data.txt', url=sys.argv[1])], Path(sys.argv[2]), Console())"
)
SLOW = replace(TAGGED, body=BODY * 4, slow=0.05)  # a second


def child(file: RemoteFile, folder: Path, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, file.url, str(folder)]
    return subprocess.Popen(command, stderr=stderr, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never happened")


def half_way(folder: Path) -> Callable[[], bool]:
    part = folder / "data.txt.part"
    return lambda: part.exists() and part.stat().st_size > 130_000


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_stopped_leaves_a_part_that_the_next_goes_on_from(
    blow: signal.Signals, server: FaultServer, folder: Path
) -> None:
    file = remote(server, SLOW, replace(SLOW, slow=0))
    process = child(file, folder)
    wait_for(half_way(folder))
    process.send_signal(blow)
    _, err = process.communicate()
    assert process.returncode == -blow
    assert "another" not in err
    if blow == signal.SIGINT:
        assert err.splitlines()[-1] == "KeyboardInterrupt"
        assert "During handling" not in err
    assert on_disk(folder) == PARTLY
    have = (folder / "data.txt.part").stat().st_size
    assert 130_000 < have < 1_200_000
    fetch_all([file], folder, Console())
    assert server.ranges() == [None, f"bytes={have}-"]
    assert (folder / "data.txt").read_bytes() == BODY * 4
    assert on_disk(folder) == DONE


def test_a_second_process_waits_says_so_and_finds_everything_there(
    server: FaultServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = remote(server, SLOW)
    process = child(file, folder)
    wait_for(half_way(folder))
    fetch_all([file], folder, Console())
    told = capsys.readouterr().err
    assert told == f"Another process downloads to {folder}; waiting for it.\n"
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert len(server.asked) == 1
    assert (folder / "data.txt").read_bytes() == BODY * 4
    assert records(folder)["data.txt"]["url"] == file.url  # the record of the first process


def test_a_terminal_shows_a_bar_and_what_went_wrong(server: FaultServer, folder: Path) -> None:
    file = remote(server, replace(SLOW, stop=700_000), SLOW)
    ours, theirs = pty.openpty()
    process = child(file, folder, theirs)
    os.close(theirs)
    seen = b""
    while block := _read(ours):
        seen += block
    os.close(ours)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert re.search(r"data.txt ━+.* 0\.\d/1\.2 MB \d\.\d MB/s 0:00:0\d", text)
    assert "data.txt: the connection broke off; trying again in 2 s" in text
    assert text.rstrip().splitlines()[-1].strip().startswith("data.txt: 1.2 MB, no hash")
    assert seen.endswith(b"\n")
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")  # the cursor is shown again


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # raised by Linux if the other end is closed
        return b""


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ["requests", "urllib3", "rich", "filelock", "torch"]
    code = f"import sys, bench.sources.download; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
