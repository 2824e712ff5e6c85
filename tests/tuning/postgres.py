"""A PostgreSQL server of the tests' own: on loopback, in a folder of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "nobody"  # the server refuses to run as root


class Server:
    """A server that can be stopped and started again."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://tester@127.0.0.1:{self._port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs."""
        user = USER if os.getuid() == 0 else None
        command = [str(self._binaries / program), "-D", str(self._folder / "data"), *arguments]
        subprocess.run(
            command, user=user, check=True, cwd=self._folder, stdout=subprocess.DEVNULL, timeout=60
        )

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        settings = f"-p {self._port} -h 127.0.0.1 -k '' -F"
        self.run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", settings, "start")

    def stop(self) -> None:
        """Break all connections and stop."""
        self.run("pg_ctl", "-w", "-m", "fast", "stop")


@contextmanager
def server() -> Iterator[Server]:
    """Give a running server, or skip where Debian's package is not installed."""
    pytest.importorskip("psycopg", reason="PostgreSQL: pip install 'dream-bench[postgresql]'")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("PostgreSQL: apt-get install postgresql")
    binaries = found[-1].parent if found else Path(on_path or "").parent
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, USER)
        made = Server(binaries, folder)
        made.run("initdb", "-A", "trust", "-U", "tester", "-N")
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)
