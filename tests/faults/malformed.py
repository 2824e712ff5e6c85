"""Malformed inputs: each gives the right result, or one line that says what is wrong.

Memory and time of each command are bounded.
"""

import shutil
from functools import cache
from pathlib import Path

from tests.faults import checks
from tests.faults.inputs import Input, options, predictions, tables
from tests.faults.material import Material
from tests.faults.rounds import Round
from tests.faults.shared_inputs import archives, hostile, manifests

_BATCH = 8
_MEMORY = 6 << 20  # kB of address space
_TIME = 90.0  # seconds; the machine may be busy
_BOUNDED = ("sh", "-c", f'ulimit -v {_MEMORY}; exec "$@"', "sh")


def malformed(round_: Round, material: Material) -> None:
    """Give the next inputs to their commands; rounds with consecutive seeds give all of them."""
    reference = material.reference("ridge", material.ridge())
    ready = _results(material)
    every = everything(material.table, ready)
    batches = [every[start : start + _BATCH] for start in range(0, len(every), _BATCH)]
    batch = batches[round_.seed % len(batches)]
    round_.chose(f"part {round_.seed % len(batches) + 1} of {len(batches)}, {len(every)} inputs")
    for number, given in enumerate(batch):
        with round_.case(given.name):
            round_.home = round_.folder / f"home-{number}"
            place = round_.folder / f"input-{number}"
            place.mkdir()
            words = given.make(place, round_.home)
            done = round_.bench(*words, ok=False, limit=_TIME, prefix=_BOUNDED)
            _judge(round_, given, done.process.returncode, done.errors, reference)


@cache  # some archives take a second to make
def everything(table: Path, archive: Path) -> list[Input]:
    """Return all inputs, made from a good table and a good archive."""
    kinds = (tables(table), predictions(table), options(table), archives(archive))
    found = [given for kind in kinds for given in kind]
    return [*found, *manifests(archive.parent / "a-run"), *hostile(archive)]


def _judge(
    round_: Round, given: Input, code: int, errors: str, reference: dict[str, object]
) -> None:
    """Note what is wrong with the end of one command."""
    if given.ends == "refused":
        round_.expect(code == 2, f"taken, status {code}")
    if given.ends in ("same", "taken"):
        round_.expect(code == 0, f"refused: {errors.strip()[-200:]}")
    if code == 2:
        lines = [line for line in errors.splitlines() if line.startswith("bench: ")]
        round_.expect(len(lines) == 1, f"{len(lines)} lines of error")
        round_.expect(len(errors.strip().splitlines()[-1]) < 600, "a line of 600 letters or more")
        if given.ends != "taken":
            written = checks.finished_in(round_.home)
            old = {path for path in written if (path / ".there").exists()}
            round_.expect(len(written) == len(old), "refused, and a run is written")
    if given.ends == "same" and code == 0:
        for path in checks.finished_in(round_.home):
            found = checks.outcome(path)
            for name in ("test scores", "predictions"):
                round_.expect(found[name] == reference[name], f"other {name}")
    for text in checks.leftovers(round_.home):
        round_.problem(text)


def _results(material: Material) -> Path:
    """Return an archive of one run, from which malformed ones are made."""
    path = material.folder / "results.zip"
    if not path.exists():
        made = material.private("results")
        made.bench(*material.ridge(), "--no-tracking")
        made.bench("export", "kmer-ridge", "--out", path)
        run = next(iter(checks.finished_in(made.home)))
        shutil.copytree(run, material.folder / "a-run")
    return path
