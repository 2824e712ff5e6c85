"""Predictions for many rows, without gradients and in large batches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.model import Model
from bench.training.batches import Batches
from bench.training.device import autocast

_BATCH = 1024


@torch.no_grad()
def predict(model: Model, batches: Batches) -> NDArray[np.float32]:
    """Return a model's standardized predictions for all rows, in order, ``(N,)``.

    The model's training mode is left as it was.
    """
    training = model.training
    model.eval()
    out = torch.empty(len(batches), device=batches.device)
    start = 0
    with autocast(out.device):
        for tokens, _ in batches.in_order(_BATCH):
            out[start : start + len(tokens)] = model(tokens)
            start += len(tokens)
    model.train(training)
    predictions: NDArray[np.float32] = out.cpu().numpy()
    return predictions
