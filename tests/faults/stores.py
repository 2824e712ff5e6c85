"""MLflow's store is lost, damaged or locked, or the disk is full; `bench sync` mends it."""

import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.faults import checks
from tests.faults.material import Material, inspect, only_finished, repaired
from tests.faults.rounds import Round, Skipped

_RUINED = ("truncated", "garbage", "emptied")
_LOST = ("deleted", "older", *_RUINED)


def store_away(round_: Round, material: Material) -> None:
    """Take the store away, damage it, or hold its lock; a run and a sync come after."""
    home = material.with_three_runs(round_)
    generator = round_.random
    faults = generator.sample(
        (*_LOST, "artifacts deleted", "tracking deleted", "tracking garbled", "locked"),
        generator.choice((1, 1, 2)),
    )
    runs_again, seconds = generator.random() < 0.6, round(generator.uniform(1, 9), 1)
    round_.chose(", ".join(faults) + (", then a run" if runs_again else ""))
    for fault in faults:
        _harm(round_, material, home, fault)
    with _locked(home / "mlflow.db", seconds if "locked" in faults else 0):
        if runs_again:
            round_.bench(*material.ridge(9))
        first = round_.bench("sync", ok=False)
    if first.process.returncode == 2:
        text = first.errors.strip()[-400:]
        if set(faults) & set(_RUINED):  # a damaged file may be refused by its name; it is removed
            round_.expect("mlflow.db" in first.errors, f"the damaged store is not named: {text}")
            (home / "mlflow.db").unlink(missing_ok=True)
        elif "locked" not in faults:
            round_.problem(f"sync is refused: {text}")
    repaired(round_, material)
    found = len(checks.finished_in(home))
    round_.expect(found == 3 + runs_again, f"{found} run folders are left")


def _harm(round_: Round, material: Material, home: Path, fault: str) -> None:
    database, generator = home / "mlflow.db", round_.random
    runs = sorted(path.parent for path in home.glob("*/manifest.json"))
    tracked = [run / "tracking.json" for run in generator.sample(runs, generator.randint(1, 3))]
    content = database.read_bytes() if database.exists() else b""
    cut, noise = generator.randrange(1 << 20), generator.randbytes(1000)
    if fault == "deleted":
        database.unlink(missing_ok=True)
    elif fault == "older":
        shutil.copy(material.folder / "older.db", database)
    elif fault == "truncated":
        database.write_bytes(content[: cut % max(len(content), 1)])
    elif fault == "garbage":
        begin = generator.choice((0, cut % max(len(content), 1)))
        database.write_bytes(content[:begin] + noise + content[begin + len(noise) :])
    elif fault == "emptied":
        database.write_bytes(b"")
    elif fault == "artifacts deleted":
        shutil.rmtree(home / "mlartifacts")
    elif fault == "tracking deleted":
        for path in tracked:
            path.unlink(missing_ok=True)
    elif fault == "tracking garbled":
        texts = (noise, b"{", b"[]", b"", b'{"uri": 5}', b'{"uri": "", "run_id": [], "lines": "x"}')
        for path in tracked:
            path.write_bytes(generator.choice(texts))


@contextmanager
def _locked(database: Path, seconds: float) -> Iterator[None]:
    """Write to a store from another process for some seconds, as a backup might."""
    if seconds == 0 or not database.is_file():
        yield
        return

    ready = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(database, timeout=5)) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.DatabaseError:  # it is damaged as well
                return
            finally:
                ready.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    ready.wait()
    yield
    thread.join()


def disk_full(round_: Round, material: Material) -> None:
    """Run on a disk that is too small, or with files that cannot grow; then there is room."""
    small = round_.random.random() < 0.4
    words = material.small() if small else material.ridge()
    kilobytes = round_.random.randint(8, 2500 if small else 1800)
    limited = round_.random.random() < 0.25 or not _can_mount()
    reference = material.reference("one rank" if small else "ridge", words)
    model = words[2]
    if limited:
        round_.chose(f"{model}, no file above {kilobytes} kB")
        cut = ("sh", "-c", f'ulimit -f {2 * kilobytes}; exec "$@"', "sh")
        round_.bench(*words, "--checkpoint-minutes", "0", ok=False, prefix=cut)
        round_.bench(*words)
        only_finished(round_, model, reference)
        repaired(round_, material)
        return
    round_.chose(f"{model} on a disk of {kilobytes} kB")
    home = round_.home
    home.mkdir()
    with _mounted(home, kilobytes) as inside:
        first = round_.bench(*words, "--checkpoint-minutes", "0", ok=False, prefix=inside)
        if first.process.returncode:
            round_.expect("is complete" not in first.errors, "a failed run is called complete")
        remount = ("mount", "-o", "remount,size=64m", str(home))
        subprocess.run([*inside, *remount], check=True, timeout=30)
        round_.bench(*words, prefix=inside)
        round_.bench("sync", prefix=inside)
        round_.bench("leaderboard", "--task", material.table, prefix=inside)
        round_.home = round_.folder / "copy"  # the disk is gone with its namespace
        round_.home.mkdir()
        copy = ("cp", "-a", f"{home}/.", str(round_.home))
        subprocess.run([*inside, *copy], check=True, timeout=60)
    only_finished(round_, model, reference)
    inspect(round_, round_.home)


@contextmanager
def _mounted(folder: Path, kilobytes: int) -> Iterator[tuple[str, ...]]:
    """Mount a small disk where only a namespace sees it; yield the words that run in there."""
    script = f"mount -t tmpfs -o size={kilobytes}k none '{folder}' && echo && exec sleep 2000"
    with subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            if not holder.stdout.readline():
                raise Skipped("no disk can be mounted")
            enter = ("nsenter", "-t", str(holder.pid), "-U", "-m", "--preserve-credentials")
            yield (*enter, f"--wd={folder.parent}", "--")
        finally:
            holder.kill()


def _can_mount() -> bool:
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        return False
    test = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0
