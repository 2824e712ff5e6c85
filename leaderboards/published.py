"""Figures that other people published, as data, with where they come from.

talk_ablation.csv   the 120 cells of the Proformer talk's ablation, a test Pearson each
"""

from __future__ import annotations

import csv
from pathlib import Path

from bench.cards import Published

TALK = "Proformer talk, RECOMB/ISCB RSG with DREAM 2022"


def talk_ablation(task: str) -> tuple[Published, ...]:
    """Return the talk's cells for a task, in the table's order.

    The talk names no seeds, so one a cell is assumed; its test windows of GM12878 were drawn at
    random, and overlap training windows.

    Args:
        task: "dream", where a tenth of the rows was trained on, or "gm12878-atac".
    """
    with (Path(__file__).parent / "talk_ablation.csv").open(encoding="utf-8") as file:
        return tuple(_cell(row, task) for row in csv.DictReader(file) if _task(row) == task)


def _task(row: dict[str, str]) -> str:
    return row["task"].partition(" ")[0]


def _cell(row: dict[str, str], task: str) -> Published:
    head = "pooled" if row["head"] == "pool" else f"{row['expression_heads']} outputs"
    sizes = f"dim {row['dim']}, {row['attention_heads']} attention heads, {row['blocks']} blocks"
    rows = ", 10% of training rows" if "10%" in row["task"] else ""
    return Published(
        task=task,
        metric="test pearson",
        value=float(row["pearson"]),
        setting=f"{sizes}, {head}{rows}",
        source=TALK,
    )
