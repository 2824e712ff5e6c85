"""Readers of weights that other programs wrote: tensors by name, without running their code."""
