"""Predictions of many rows, without gradients and in large batches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.model import Model
from bench.training.batches import Batches
from bench.training.device import autocast
from bench.training.distributed import ALONE, Ranks

_BATCH = 1024


@torch.no_grad()
def predict(model: Model, batches: Batches, ranks: Ranks = ALONE) -> NDArray[np.float32]:
    """Return a model's standardized predictions of all rows, in their order, ``(N,)``.

    Every rank predicts its share of the batches and returns all predictions. The model is in the
    same mode (training or evaluation) afterwards as before.
    """
    training = model.training
    model.eval()
    out = torch.zeros(len(batches), device=batches.device)
    start = ranks.rank * _BATCH
    with autocast(out.device):
        for tokens, _, columns in batches.in_order(_BATCH, first=ranks.rank, every=ranks.size):
            out[start : start + len(tokens)] = model.expectation(model(tokens, **columns))
            start += ranks.size * _BATCH
    model.train(training)
    predictions: NDArray[np.float32] = ranks.sum(out).cpu().numpy()  # other ranks add 0: exact
    return predictions
