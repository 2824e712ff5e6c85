"""The split of batches over ranks and into micro-batches."""

import pytest
import torch

from bench.errors import BenchError
from bench.training.distributed import Ranks
from bench.training.micro_batches import MicroBatches


@pytest.mark.parametrize("batch", [1, 2, 6, 12, 30])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("per_device", [None, 1, 2, 3, 5, 6, 12, 40])
def test_every_row_is_one_ranks_or_the_cut_is_refused(
    batch: int, size: int, per_device: int | None
) -> None:
    """The oracle tries all splits."""
    possible = batch % size == 0 and (per_device is None or batch % (per_device * size) == 0)
    if not possible:
        with pytest.raises(BenchError, match=r"cannot be split evenly .* Try "):
            MicroBatches.of(batch, Ranks(0, size), per_device)
        return
    seen: list[int] = []
    for rank in range(size):
        micro_batches = MicroBatches.of(batch, Ranks(rank, size), per_device)
        assert micro_batches.rows == (per_device or batch // size)
        for number in micro_batches.mine:
            seen += range(number * micro_batches.rows, (number + 1) * micro_batches.rows)
    assert seen == list(range(batch))


@pytest.mark.parametrize(
    ("batch", "size", "per_device", "advice"),
    [
        (512, 1, 100, "batch_per_device=64"),
        (512, 1, 1024, "batch_per_device=512"),
        (512, 2, 512, "batch_per_device=256"),
        (12, 2, 4, "batch_per_device=3"),
        (1, 2, None, "recipe.batch_size=2"),
        (15, 2, None, "recipe.batch_size=14"),
        (15, 2, 5, "recipe.batch_size=14"),
    ],
)
def test_what_is_advised_can_be_done(
    batch: int, size: int, per_device: int | None, advice: str
) -> None:
    with pytest.raises(BenchError) as refused:
        MicroBatches.of(batch, Ranks(0, size), per_device)
    assert str(refused.value).endswith(f"Try {advice}.")
    number = int(advice.rpartition("=")[2])
    if "device" in advice:
        MicroBatches.of(batch, Ranks(0, size), number)
    else:
        MicroBatches.of(number, Ranks(0, size))


def test_noise_is_a_function_of_seed_update_and_slice() -> None:
    micro_batches = MicroBatches.of(8, Ranks(), 2)
    drawn = {}
    for key in [(s, t, n) for s in range(3) for t in range(3) for n in range(3)]:
        micro_batches.seed_noise(*key, device=torch.device("cpu"))
        drawn[key] = float(torch.rand(()))
    assert len(set(drawn.values())) == 27
    MicroBatches.of(8, Ranks(1, 2)).seed_noise(2, 1, 0, torch.device("cpu"))
    assert float(torch.rand(())) == drawn[2, 1, 0]
