"""Predictions of many rows, without gradients and in large batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.model import Model
from bench.training.batches import Batches
from bench.training.device import autocast, full_float32
from bench.training.distributed import ALONE, Ranks

_BATCH = 1024


@torch.no_grad()
def predict(model: Model, batches: Batches, ranks: Ranks = ALONE) -> NDArray[np.floating[Any]]:
    """Return a model's standardized predictions of all rows, in their order, ``(N,)``.

    A prediction is the mean over the views of the recipe, after the recipe's output transform; see
    :class:`bench.training.views.PredictionRule`. Every rank predicts its share of the batches and
    returns all predictions. The model is in the same mode (training or evaluation) afterwards as
    before.
    """
    training = model.training
    model.eval()
    out = torch.zeros(len(batches), device=batches.device)
    views, precision = batches.rule.views, batches.rule.precision
    with autocast(out.device, precision), full_float32(precision):
        for view in views:
            start = ranks.rank * _BATCH
            shown = batches.in_order(_BATCH, first=ranks.rank, every=ranks.size, view=view)
            for tokens, _, columns in shown:
                out[start : start + len(tokens)] += model.expectation(model(tokens, **columns))
                start += ranks.size * _BATCH
    out /= len(views)
    model.train(training)
    predictions: NDArray[np.float32] = ranks.sum(out).cpu().numpy()  # other ranks add 0: exact
    return batches.rule.transformed(predictions)
