"""Processes of the suite, found by a mark in their environment, and the sockets they listen on.

Linux only: everything is read from /proc, so that a process that left its session, its parent and
its process group is still found.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = "BENCH_FAULTS"  # every command has it, with the token of its round
_LISTENING = "0A"  # state of a socket in /proc/net/tcp
_LOOPBACK6 = "00000000000000000000000001000000"
_MAPPED4 = "0000000000000000FFFF0000"  # an IPv4 address in an IPv6 socket


def marked(token: str) -> dict[int, list[str]]:
    """Return the words of every living process whose mark begins with a token, by its number."""
    wanted, found = f"{MARK}={token}".encode(), {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # it has ended, or belongs to another user
            variables = (folder / "environ").read_bytes().split(b"\0")
            if any(variable.startswith(wanted) for variable in variables):
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found[int(folder.name)] = words[:-1]
    return found


def variable(pid: int, name: str) -> str | None:
    """Return a variable of a process's environment; None if it has none."""
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(f"{name}=".encode()):
                return entry.partition(b"=")[2].decode(errors="replace")
    return None


def wait_until_gone(token: str, seconds: float) -> dict[int, list[str]]:
    """Wait until no marked process is left; return those that are left after ``seconds``."""
    end = time.monotonic() + seconds
    while (left := marked(token)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def end_all(token: str) -> None:
    """Kill the marked processes, one by one."""
    for _ in range(20):
        left = marked(token)
        if not left:
            return
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def listeners(token: str) -> set[str]:
    """Return the words of marked processes that listen on more than loopback, and the address."""
    opened = _listening_beyond_loopback()
    found = set()
    for pid, words in marked(token).items() if opened else ():
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    inode = os.readlink(link).removeprefix("socket:[").removesuffix("]")
                    if inode in opened:
                        found.add(f"{_named(words)} listens on {opened[inode]}")
    return found


def _named(words: list[str]) -> str:
    """Return what a process is, short and the same for all processes of one kind."""
    begin = words.index("bench") if "bench" in words else 1
    return " ".join(word for word in words[begin:] if "/" not in word)[:40]


def _listening_beyond_loopback() -> dict[str, str]:
    """Return the address of every socket that others can reach, by its inode."""
    found = {}
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                address = fields[1].partition(":")[0]
                if fields[3] == _LISTENING and not _is_loopback(address):
                    found[fields[9]] = _spelled(address)
    return found


def _is_loopback(address: str) -> bool:
    # Four bytes are written as one little-endian number: 127.0.0.1 is 0100007F.
    if len(address) == 8:
        return address.endswith("7F")
    return address == _LOOPBACK6 or (address.startswith(_MAPPED4) and address.endswith("7F"))


def _spelled(address: str) -> str:
    if set(address) == {"0"}:
        return "all addresses"
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(address[-8:])))


@contextmanager
def watched(token: str) -> Iterator[set[str]]:
    """Look for listeners throughout a block; yield the set that they are added to."""
    found: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            found.update(listeners(token))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
