"""Runs that die: a small noisy Proformer that kills itself, and what is left when it goes on.

A process dies by SIGKILL at an update, or while it writes a checkpoint, as its environment says.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

PLUGIN = '''
"""A Proformer that kills its process where KILL says."""
import os
from bench.registry import MODELS
from bench.training import checkpoints

what, _, number = os.environ.get("KILL", "").partition(":")
here = os.environ.get("RANK", "0") == os.environ.get("KILL_RANK", "0")
left = int(number or 0)

def count():
    global left
    left -= 1
    if left == 0 and here:
        os.kill(os.getpid(), 9)

class Mortal(MODELS.get("proformer")):
    def losses(self, batch):
        if what == "update":
            count()
        return super().losses(batch)

write = checkpoints._Hashing.write

def dying_write(self, data):
    if what == "write":
        count()
    return write(self, data)

checkpoints._Hashing.write = dying_write
'''

SETTINGS = {
    "model.dim": 16,
    "model.blocks": 1,
    "model.attention_heads": 2,
    "model.expression_heads": 4,
    "model.length": 20,
    "model.dropout": 0.1,
    "recipe.batch_size": 16,
    "recipe.epochs": 4,
}
UPDATES = 60  # 240 training rows, four epochs


def prepare(folder: Path) -> None:
    """Write the plugin, and a table of 300 rows."""
    (folder / "mortal.py").write_text(PLUGIN)
    write_table(folder, letters=20, tested=270)


def write_table(folder: Path, *, letters: int, tested: int) -> None:
    """Write table.tsv: 300 rows, of which 240 train and those from ``tested`` on test."""
    generator = np.random.default_rng(0)
    rows = ["sequence\ttarget\tsplit"]
    for number in range(300):
        text = "".join(generator.choice(list("ACGT"), letters))
        split = "train" if number < 240 else "validation" if number < tested else "test"
        rows.append(f"{text}\t{text.count('G') + generator.normal():.4f}\t{split}")
    (folder / "table.tsv").write_text("\n".join(rows) + "\n")


def run(
    folder: Path, home: str, *, kill: str = "", rank: int = 0, devices: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which may die; states are saved at every look."""
    command = [sys.executable, "-m", "bench", "run", "--plugin", "mortal.py", "--model", "mortal"]
    command += ["--task", "table.tsv", "--home", home, "--checkpoint-minutes", "0"]
    command += ["--device", "cpu", "--devices", str(devices), "--no-tracking"]
    for name, value in SETTINGS.items():
        command += ["--set", f"{name}={value}"]
    environment = {**os.environ, "KILL": kill, "KILL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def left_behind(folder: Path, home: str) -> dict[str, Any]:
    """Return all that a finished run has come to, in the only run folder of ``home``."""
    (manifest,) = (folder / home).glob("*/manifest.json")
    run, told = manifest.parent, json.loads(manifest.read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "status": told["status"],
        "best step": told["best_step"],
        "scores": told["metrics"],
        "losses": np.load(run / "losses.npy").tolist(),
        "curves": [(line["step"], line["metrics"]) for line in lines],
        "predictions": np.load(run / "predictions.npy").tolist(),
        "weights": (run / "model.safetensors").read_bytes(),
        "files": sorted(path.name for path in run.iterdir()),
    }
