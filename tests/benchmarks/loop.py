"""What the training loop costs beside a bare one on the same model, batches and optimizer.

    python -m tests.benchmarks.loop

Both make the same updates, in turn, several times. The bare loop is what one would write by hand:
forward, backward, clip, step. Ours also seeds the noise of every update, plans the rate, keeps
losses, looks at them every second, answers signals and saves checkpoints.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from bench.model import Model
from bench.recipe import Recipe
from bench.registry import MODELS
from bench.training.batches import Batches
from bench.training.checkpoints import Checkpoints
from bench.training.loop import train
from bench.training.monitor import Controls
from bench.training.schedule import Plan
from tests.training.test_loop import batches_of

SIZES = {
    "smoke": {"dim": 48, "blocks": 1, "attention_heads": 2, "expression_heads": 8},
    "tiny": {"dim": 8, "blocks": 1, "attention_heads": 1, "expression_heads": 2, "length": 20},
}
UPDATES, ROUNDS, BATCH = {"smoke": 25, "tiny": 1000}, 4, 64


class Nobody:
    """Progress that nobody listens to, less validation, which the bare loop has not."""

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """Say nothing."""

    def epoch(self, step: int, figures: dict[str, float]) -> None:
        """Say nothing."""


def make(size: str) -> tuple[Model, Batches]:
    """Return a fresh model and its rows."""
    torch.manual_seed(0)
    model_class = MODELS.get("proformer")
    config = model_class.Config(**SIZES[size])
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, 4, (1024, config.length), dtype=np.uint8)
    target = generator.normal(size=1024).astype(np.float32)
    return model_class(config, 2 * config.length), batches_of(
        tokens, target, reverse_complement=True
    )


def bare(size: str) -> float:
    """Return the seconds of the bare loop."""
    model, rows = make(size)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    batches = rows.shuffled(BATCH, 0)
    started = time.perf_counter()
    for _ in range(UPDATES[size]):
        batch = next(batches)
        optimizer.zero_grad()
        model.loss(batch).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return time.perf_counter() - started


def ours(size: str, folder: Path) -> float:
    """Return the seconds of the loop with everything it does, without its one validation."""
    model, rows = make(size)
    recipe = Recipe(batch_size=BATCH, epochs=UPDATES[size])
    plan = Plan(UPDATES[size], UPDATES[size], 0)
    _, few = make(size)
    controls = Controls(checkpoints=Checkpoints(folder, minutes=10))
    started = time.perf_counter()
    trained = train(model, rows, few, recipe, plan, seed=0, progress=Nobody(), controls=controls)
    return time.perf_counter() - started - trained.validation_seconds


def main() -> None:
    """Print the smallest time of either loop and their ratio."""
    for size in SIZES:
        times: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(ROUNDS):
            times["bare"].append(bare(size))
            with tempfile.TemporaryDirectory() as name:
                times["ours"].append(ours(size, Path(name)))
        fastest = {name: min(found) / UPDATES[size] * 1e3 for name, found in times.items()}
        print(
            f"{size}: bare {fastest['bare']:.2f} ms an update, ours {fastest['ours']:.2f}: "
            f"{fastest['ours'] / fastest['bare'] - 1:+.1%}"
        )


if __name__ == "__main__":
    main()
