"""The demo: two models on one simulated assay."""

from __future__ import annotations

from pathlib import Path

from bench.cli import tables
from bench.cli.signals import SignalStop
from bench.console import Console
from bench.metrics import STANDARD
from bench.paths import runs_dir
from bench.results.options import Request
from bench.runner.run import execute

MODELS = ("kmer-ridge", "proformer")
_STEPS = 600  # 1.5 times those of the smoke preset: enough to see the network learn


def compare(*, rows: int, home: Path | None) -> None:
    """Train every demo model at its smallest preset and print their scores in one table.

    Args:
        rows: Number of simulated training promoters.
        home: Folder of all runs.
    """
    console = Console()
    manifests = []
    for model in MODELS:
        request = Request(
            model=model,
            task="dream",
            preset="smoke",
            simulate_rows=rows,
            max_steps=_STEPS,
            runs_dir=home,
        )
        console.say(
            f"\n$ bench run --model {model} --task dream --preset smoke --simulate --rows {rows} "
            f"--max-steps {_STEPS}"
        )
        manifests.append(execute(request, console, tracked=True, stop=SignalStop()))
    tables.runs_table(manifest for manifest in manifests if manifest is not None)
    where = runs_dir(home)
    symbols = ", ".join(f"{metric.symbol} {metric.label}" for metric in STANDARD)
    print(
        f"Simulated promoters: compare these scores with each other, not with papers. {symbols}.\n"
        f"Next: `bench ui` compares the runs in a browser; `bench models proformer` shows every "
        f"setting;\n`bench run --model proformer --task dream --data FOLDER` trains on the real "
        f"assay. The runs are in {where}."
    )
