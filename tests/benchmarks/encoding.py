"""How long the training set takes: read, encode, fingerprint, start again, make batches.

    python -m tests.benchmarks.encoding [ROWS]

A later start opens the encoding that the first one has made, and checks it.

Simulates as many promoters as the release has (6,739,258), each measurement in a process of its
own, and does a slice of them the plain way: pandas, a dictionary, a list a sequence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SLICE = 50_000
START = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
from bench.sources.locate import load
from bench.registry import TASKS
Dream = TASKS.get("dream")
loaded = time.perf_counter()
dataset = load(Dream(Dream.Options()), "dream", Path(sys.argv[1]), None)
read = time.perf_counter()
mark = dataset.fingerprint
done = time.perf_counter()
from bench.sources import encoding_cache
again = time.perf_counter()
encoding_cache.open_table(Path(sys.argv[1]) / "train_sequences.txt")
opened = time.perf_counter()
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
print(json.dumps({"rows": len(dataset.train) + len(dataset.validation), "mark": mark,
                  "import": loaded - started, "load": read - loaded,
                  "fingerprint": done - read, "open": opened - again, "peak": peak * 1024}))
"""


def main() -> None:
    """Print seconds and peak memory of a first and a second start, and the two ratios."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 6_739_258
    with tempfile.TemporaryDirectory() as name:
        os.environ["BENCH_CACHE"] = f"{name}/cache"
        folder = Path(name) / "assay"
        bench = [sys.executable, "-m", "bench", "data", "simulate", "dream", "--out", str(folder)]
        subprocess.run([*bench, "--rows", str(rows)], check=True, stdout=subprocess.DEVNULL)
        first = start("first start", folder)
        for later in ("second start", "third start"):
            assert start(later, folder)["mark"] == first["mark"]
        plain = the_plain_way(folder / "train_sequences.txt")
        ours = (first["load"] + first["fingerprint"]) / first["rows"]
        print(
            f"the plain way, {SLICE:,} rows: {plain:.2f} s, {plain / SLICE / ours:.0f} times a row"
        )
        share_of_batches(folder)


def start(name: str, folder: Path) -> dict[str, float]:
    """Load the data in a new process; print and return what it took."""
    command = [sys.executable, "-c", START, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(
        f"{name}: {found['rows']:,} rows, read and encode {found['load']:.2f} s, fingerprint "
        f"{found['fingerprint']:.2f} s, the table opened once more {found['open']:.2f} s, "
        f"peak {found['peak'] / 2**30:.2f} GiB"
    )
    return found


def the_plain_way(path: Path) -> float:
    """Encode a slice by pandas and a dictionary; return the seconds."""
    import numpy as np
    import pandas  # type: ignore[import-untyped]

    started = time.perf_counter()
    frame = pandas.read_csv(path, sep="\t", header=None, nrows=SLICE)
    code = {"A": 0, "C": 1, "G": 2, "T": 3, "N": 4}
    width = int(frame[0].str.len().max())
    encoded = [[code[letter] for letter in text.ljust(width, "N")] for text in frame[0]]
    np.array(encoded, dtype=np.uint8)
    return time.perf_counter() - started


def share_of_batches(folder: Path) -> None:
    """Compare making a batch, kept and streamed, with an update of the smallest Proformer."""
    import torch

    from bench.config import override
    from bench.recipe import Recipe
    from bench.registry import MODELS, TASKS
    from bench.sources import locate
    from bench.training.loader import Loader
    from bench.training.optimizer import make_optimizer

    dream, proformer = TASKS.get("dream"), MODELS.get("proformer")
    dataset = locate.load(dream(dream.Options(fraction=0.05)), "dream", folder, None)
    config = override(proformer.Config(), proformer.presets["smoke"].model, section="model")
    loader = Loader(dataset, proformer.layout(config), standardize=True, device=torch.device("cpu"))
    model = proformer(config, loader.transform.positions)
    optimizer = make_optimizer(model, Recipe())
    seconds = {}
    for name, resident in (("kept", True), ("streamed", False)):
        loader.resident = resident
        batches = loader.training().shuffled(512, seed=0)
        next(batches)
        started = time.perf_counter()
        made = [next(batches) for _ in range(100)]
        seconds[name] = (time.perf_counter() - started) / 100
    started = time.perf_counter()
    for batch in made[:10]:
        optimizer.zero_grad()
        model.loss(batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    step = (time.perf_counter() - started) / 10
    for name, spent in seconds.items():
        print(f"a batch of 512, {name}: {spent * 1e3:.2f} ms, {spent / step:.2%} of an update")


if __name__ == "__main__":
    main()
