"""Damaged files: the cache of encoded tables, and the folders of runs."""

import json
import os
import random
import shutil
from pathlib import Path

from tests.faults import checks
from tests.faults.material import Material
from tests.faults.rounds import Round

_WRONG = ('{"created": 9}', '{"model": 5}', '{"data": null}', '{"status": []}', '{"id": 3}')
_HANGS = 60.0  # seconds after which a command counts as hanging


def harm(path: Path, how: str, generator: random.Random) -> None:
    """Damage one file in one way; the same numbers are drawn whatever the file holds."""
    seed = generator.getrandbits(32)
    draw = random.Random(seed)
    content = bytearray(path.read_bytes()) if path.is_file() else bytearray()
    if how == "flipped":
        for _ in range(draw.choice((1, 1, 20, 200))):
            if content:
                content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
    elif how == "cut":
        path.write_bytes(content[: draw.randrange(max(len(content), 1))])
    elif how == "longer":
        path.write_bytes(bytes(content) + draw.randbytes(draw.randint(1, 100)))
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(draw.randbytes(max(len(content), 10)))
    elif how == "rotated":  # A to C, C to G …: letters stay letters
        begin = draw.randrange(max(len(content) // 2, 1))
        for place in range(begin, min(begin + 20_000, len(content))):
            content[place] = (content[place] + 1) % 4
        path.write_bytes(content)
    elif how == "other types" and path.suffix == ".json":
        told = json.loads(content)
        told.update(json.loads(draw.choice(_WRONG)))
        path.write_text(json.dumps(told))
    elif how == "line":
        lines = bytes(content).splitlines(keepends=True)
        bad = draw.choice((b"garbage\n", b'{"step": 3}\n', b"\xff\xfe\n", b"[]\n", b"null\n"))
        lines.insert(draw.randint(0, len(lines)), bad)
        path.write_bytes(b"".join(lines))
    elif how == "forbidden":
        path.chmod(0)
    else:
        _replace(path, how)


def _replace(path: Path, how: str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if how == "a folder":
        path.mkdir()
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "a loop":
        path.symlink_to(path.name)


def encodings(round_: Round, material: Material) -> None:
    """Damage the cache of encoded tables; a run gives the right result or says what is wrong."""
    raw, ready = material.folder / "dream", material.folder / "encoded"
    words = ["run", "--model", "kmer-ridge", "--task", "dream", "--data", str(raw)]
    words += ["--no-tracking"]
    if not raw.exists():
        made = material.private("dream-data")
        made.bench("data", "simulate", "dream", "--rows", "1000", "--out", raw)
    reference = material.reference("dream", words)
    if not ready.exists():
        shutil.copytree(material.cache / "encoded", ready)
    round_.cache = round_.folder / "cache"
    shutil.copytree(ready, round_.cache / "encoded")
    generator = round_.random
    tables = sorted(path for path in (round_.cache / "encoded").iterdir() if path.is_dir())
    files = sorted(path for path in tables[0].parent.glob("*/*/*") if path.is_file())
    victims = generator.sample(files, generator.choice((1, 1, 2, 4)))
    ways = ("flipped", "cut", "longer", "emptied", "garbage", "rotated", "gone", "a folder")
    for victim in victims:
        how = generator.choice(ways)
        if victim.name == "tokens" and generator.random() < 0.5:
            how = "rotated"
        round_.chose(f"{victim.name} of {victim.parts[-3].split('.')[0]} {how}")
        harm(victim, how, generator)
    forgotten = generator.random() < 0.2
    if forgotten:  # this table is encoded again, beside the damaged one of another
        other = next(t for t in tables if t != victims[0].parents[1])
        shutil.rmtree(other)
        round_.chose(f"{other.name.split('.')[0]} not encoded")
    done = round_.bench(*words, ok=False)
    if done.process.returncode == 0:
        for path in checks.finished_in(round_.home):
            for text in checks.differences(checks.outcome(path), reference):
                round_.problem(text)
    for text in checks.leftovers(round_.cache):
        round_.problem(text)


def run_folders(round_: Round, material: Material) -> None:
    """Damage a file of a run's folder; other runs stay visible, and every command ends well."""
    home, generator = material.with_a_stopped_run(round_), round_.random
    runs = sorted(path.parent for path in home.glob("*/manifest.json"))
    victim = generator.choice((runs[0], runs[-1], runs[-1]))  # finished, or stopped
    ways = ["flipped", "cut", "emptied", "garbage", "gone", "a folder", "a pipe", "a loop"]
    ways += ["other types", "other types", "line", "line"]
    prefix: tuple[str, ...] = ()
    if os.geteuid() != 0:
        ways.append("forbidden")
    elif shutil.which("setpriv"):  # root reads everything, unless it gives that up
        prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
        ways.append("forbidden")
    how = generator.choice(ways)
    files = sorted(path for path in victim.rglob("*") if path.is_file() and path.suffix)
    target = generator.choice(files)
    if how == "other types" or generator.random() < 0.35:
        target = victim / "manifest.json"
    elif how == "line":
        target = victim / "metrics.jsonl"
    round_.chose(f"{target.relative_to(home)} {how}")
    harm(target, how, generator)
    try:
        _all_commands(round_, material, home, victim, prefix)
    finally:
        if target.exists() and not target.is_symlink():
            target.chmod(0o755)
        if target.is_fifo():
            target.unlink()  # copies of the folder would hang


def _all_commands(
    round_: Round, material: Material, home: Path, victim: Path, prefix: tuple[str, ...]
) -> None:
    others = {p.parent.name for p in home.glob("*/manifest.json") if p.parent != victim}
    ridges = sorted(home.glob("kmer-ridge*"))
    stopped = material.small()
    for name, words in {
        "runs": ["runs", "--json"],
        "run": material.ridge(9),
        "resume": stopped,
        "sync": ["sync"],
        "leaderboard": ["leaderboard", "--task", str(material.table), "--format", "json"],
        "compare": ["compare", ridges[0].name, ridges[1].name],
    }.items():
        with round_.case(name):
            concerned = victim.name.startswith({"resume": "proformer"}.get(name, "kmer"))
            lenient = name in ("resume", "compare", "sync") and concerned
            done = round_.bench(*words, ok=not lenient, limit=_HANGS * 2, prefix=prefix)
            if done.process.returncode != 0:
                continue
            if name == "runs":
                shown = {told["id"] for told in json.loads(done.output)}
                round_.expect(others <= shown, f"{len(others - shown)} other runs are not shown")
            if name == "leaderboard":
                wanted = {ridge.name for ridge in ridges} & others
                missing = wanted - checks.ranked(done.output)
                round_.expect(not missing, f"{len(missing)} other runs are not ranked")
    with round_.case("result"):
        reference = material.reference("one rank", stopped)
        for path, told in checks.finished_in(home).items():
            if told["model"]["name"] == "proformer" and path != victim:
                _same_result(round_, path, reference)
        for text in checks.leftovers(home):
            round_.problem(text)


def _same_result(round_: Round, path: Path, reference: dict[str, object]) -> None:
    for text in checks.differences(checks.outcome(path), reference):
        round_.problem(text)
