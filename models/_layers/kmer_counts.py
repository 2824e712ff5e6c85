"""Counts of the words of a sequence, for models that see it as a bag of words."""

from __future__ import annotations

import torch
from torch import Tensor


def kmer_counts(tokens: Tensor, k: int) -> Tensor:
    """Return the k-mer counts of every row, ``(B, L)`` tokens -> ``(B, 4**k)`` float32.

    K-mers with N do not count.
    """
    windows = max(tokens.shape[1] - k + 1, 0)
    word = torch.zeros(len(tokens), windows, dtype=torch.int64, device=tokens.device)
    whole = torch.ones_like(word, dtype=torch.bool)
    for offset in range(k):
        base = tokens[:, offset : offset + windows]
        word = word * 4 + base
        whole &= base < 4
    word += 4**k * torch.arange(len(tokens), device=tokens.device)[:, None]
    counts = torch.bincount(word[whole], minlength=len(tokens) * 4**k)
    return counts.view(len(tokens), 4**k).float()
