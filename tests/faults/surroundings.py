"""An unusual environment: the clock, folders that vanish, streams, foreign files, limits."""

import os
import shutil
from collections.abc import Callable

from tests.faults import checks
from tests.faults.material import Material, only_finished, points, repaired
from tests.faults.rounds import Round
from tests.faults.searches import PEAK

_FOREIGN = 'open("foreign-code-ran", "w").close()\nprint("foreign")\n'
_YEAR = 365 * 86400
_HOMES = ("a b", "a#b", "a?b", "a%20b", "ä", "a&b=c", "a'b", "-a", "x" * 120, "a;b", "$HOME")


def surroundings(round_: Round, material: Material) -> None:
    """Do one thing; rounds with consecutive seeds do all of them."""
    acts: list[Callable[[Round, Material], None]] = [
        _clock_set_back,
        _folder_deleted,
        _folder_read_only,
        _closed_streams,
        _ascii,
        _foreign_files,
        _foreign_files_in_a_search,
        _little_memory,
        _few_files,
        _wrong_variables,
        _unusual_home,
        _full_output,
    ]
    act = acts[round_.seed % len(acts)]
    round_.chose(act.__name__.strip("_").replace("_", " "))
    act(round_, material)


def _clock_set_back(round_: Round, material: Material) -> None:
    """Stop a run that began a year from now, by its clock; then run another and go on."""
    home = material.with_a_stopped_run(round_)
    for path in home.rglob("*"):
        then = path.stat().st_mtime + _YEAR
        os.utime(path, (then, then))
    for path, told in checks.runs_of(home).items():
        text = (path / "manifest.json").read_text()
        year = int(told["created"][:4])
        (path / "manifest.json").write_text(text.replace(f'"{year}-', f'"{year + 1}-'))
    round_.bench(*material.ridge(9))
    round_.bench(*material.small())
    only_finished(round_, "proformer", material.reference("one rank", material.small()))
    repaired(round_, material)


def _folder_deleted(round_: Round, material: Material) -> None:
    """Delete the folder of a run while it trains; the same command begins again."""
    command = round_.start(*material.small())
    wanted = round_.random.randint(1, 8)
    round_.until(lambda: points(round_.home, "proformer") >= wanted or not command.running)
    for folder in round_.home.glob("proformer*"):
        shutil.rmtree(folder, ignore_errors=True)
    command.wait()
    round_.settle()
    for folder in round_.home.glob("proformer*"):  # what it wrote into the void
        if not (folder / "manifest.json").exists():
            shutil.rmtree(folder)
    round_.bench(*material.small())
    only_finished(round_, "proformer", material.reference("one rank", material.small()))
    repaired(round_, material, board=False)


def _folder_read_only(round_: Round, material: Material) -> None:
    """Forbid writing to the folder of a run while it trains, then allow it."""
    root = os.geteuid() == 0
    prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if root else ()
    command = round_.start(*material.small(), "--checkpoint-minutes", "0", prefix=prefix)
    wanted = round_.random.randint(1, 8)
    round_.until(lambda: points(round_.home, "proformer") >= wanted or not command.running)
    folders = list(round_.home.glob("proformer*"))
    for folder in folders:
        for path in (*folder.rglob("*"), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
    command.wait()
    round_.settle()
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
    round_.bench(*material.small())
    only_finished(round_, "proformer", material.reference("one rank", material.small()))
    repaired(round_, material, board=False)


def _closed_streams(round_: Round, material: Material) -> None:
    """Run with streams that are closed: the scores cannot be printed, the run is whole."""
    for streams in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        with round_.case(f"run {streams}"):
            shut = ("sh", "-c", f'exec "$@" {streams}', "sh")
            for words in ([*material.ridge(), "--force", "--no-tracking"], ["runs"]):
                command = round_.start(*words, prefix=shut)
                code = command.wait(silent="2>&-" in streams)
                round_.expect(code == (2 if ">&-" in streams.split() else 0), f"status {code}")
                round_.settle()
    found = len(checks.finished_in(round_.home))
    round_.expect(found == 4, f"{found} of 4 runs are finished")


def _full_output(round_: Round, material: Material) -> None:
    """Print to a device that is full, and to a reader that is gone."""
    full = ("sh", "-c", 'exec "$@" >/dev/full', "sh")
    gone = ("sh", "-c", '"$@" | true', "sh")
    for prefix in (full, gone):
        for words in (["models"], ["run", "--help"], [*material.ridge(), "--no-tracking"]):
            with round_.case(f"{words[0]} {words[-1][:20]} {prefix[2]}"):
                round_.bench(*words, ok=False, prefix=prefix)


def _ascii(round_: Round, material: Material) -> None:
    """Print where only ASCII can be printed."""
    poor = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "LANG": None}
    model = round_.random.choice(("proformer", "kmer-ridge"))
    commands: list[list[str]] = [["models", model], ["tasks"], ["tasks", "dream"], ["run", "-h"]]
    commands += [["models", model, "--space"], material.ridge(), ["runs"]]
    commands += [["leaderboard", "--task", str(material.table)]]
    for words in commands:
        with round_.case(" ".join(words)[:40]):
            round_.bench(*words, environment=poor)


def _foreign_files(round_: Round, material: Material) -> None:
    """Train on two devices in a folder that holds files with the names of packages."""
    names = ("bench.py", "typing_extensions.py", "torch.py", "mlflow.py")
    name = round_.random.choice(names)
    round_.chose(name)
    (round_.folder / name).write_text(_FOREIGN)
    round_.bench(*material.small(devices=2))
    only_finished(round_, "proformer", material.reference("two ranks", material.small(devices=2)))
    round_.expect(not (round_.folder / "foreign-code-ran").exists(), f"{name} of the folder ran")


def _foreign_files_in_a_search(round_: Round, material: Material) -> None:
    """Search with two workers in such a folder."""
    (round_.folder / round_.random.choice(("bench.py", "optuna.py"))).write_text(_FOREIGN)
    words = ["search", "--plugin", str(PEAK), "--model", "peak", "--task", str(material.table)]
    words += ["--preset", "smoke", "--study", "s", "--trials", "4", "--workers", "2"]
    round_.bench(*words, "--no-tracking")
    round_.expect(not (round_.folder / "foreign-code-ran").exists(), "code of the folder ran")
    found = len(checks.finished_in(round_.home))
    round_.expect(found == 4, f"{found} of 4 trials")


def _little_memory(round_: Round, material: Material) -> None:
    """Run a large model where memory ends."""
    kilobytes = round_.random.choice((1_500_000, 2_000_000, 2_500_000))
    short = ("sh", "-c", f'ulimit -v {kilobytes}; exec "$@"', "sh")
    words = [*material.small(), "--set", "model.dim=2048", "--max-steps", "2", "--no-tracking"]
    with round_.case(f"large model in {kilobytes} kB"):
        round_.bench(*words, ok=False, prefix=short)
    with round_.case("afterwards"):
        round_.bench(*material.ridge())
        repaired(round_, material, board=False)


def _few_files(round_: Round, material: Material) -> None:
    """Run where few files may be open; then as usual."""
    count = round_.random.choice((8, 16, 24, 32, 64))
    few = ("sh", "-c", f'ulimit -n {count}; exec "$@"', "sh")
    round_.chose(f"{count} files")
    round_.bench(*material.ridge(), ok=False, prefix=few)
    round_.bench(*material.ridge())
    only_finished(round_, "kmer-ridge", material.reference("ridge", material.ridge()))
    repaired(round_, material)


def _wrong_variables(round_: Round, material: Material) -> None:
    """Set variables that the command reads to what they cannot be."""
    cases: list[dict[str, str | None]] = [
        {"RANK": "x", "WORLD_SIZE": "2"},
        {"RANK": "0", "WORLD_SIZE": "2"},
        {"HOME": None, "BENCH_CACHE": None},
        {"HOME": "/dev/null", "BENCH_CACHE": None},
        {"BENCH_CACHE": "/proc/nothing"},
        {"BENCH_HOME": "/proc/nothing"},
        {"OMP_NUM_THREADS": "x"},
        {"MLFLOW_TRACKING_URI": "postgresql://u:s3cretpw@127.0.0.1:1/x"},
        {"MLFLOW_TRACKING_URI": "nothing://x"},
        {"BENCH_DATA": "/nowhere"},
        {"TMPDIR": "/nowhere"},
    ]
    for number, variables in enumerate(cases):
        with round_.case(" ".join(f"{name}={value}" for name, value in variables.items())):
            round_.home = round_.folder / f"home-{number}"
            done = round_.bench(*material.ridge(), ok=False, environment=variables)
            printed = done.output + done.errors
            round_.expect("s3cretpw" not in printed, "a password is printed")
            notes = [path.read_text() for path in round_.home.glob("*/tracking.json")]
            round_.expect("s3cretpw" not in str(notes), "a password is written")


def _unusual_home(round_: Round, material: Material) -> None:
    """Keep runs in a folder with an unusual name; some are refused, and then nothing is written."""
    names = round_.random.sample(_HOMES, 3)
    for name in names:
        with round_.case(f"home {name[:20]}"):
            round_.home = round_.folder / "homes" / name
            if "?" in name or "%20" in name:
                refused = round_.bench(*material.ridge(), ok=False)
                round_.expect("Name another folder" in refused.errors, "it is not refused")
                round_.expect(not round_.home.exists(), "it is refused and made")
                continue
            round_.bench(*material.ridge())
            round_.bench(*material.ridge(1))
            repaired(round_, material)
    beside = {path.name for path in (round_.folder / "homes").glob("*")}
    round_.expect(beside <= set(names), f"{beside - set(names)} lie beside the homes")
