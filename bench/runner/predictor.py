"""Predicts sequences from a file or a pipe with the model of a finished run.

The sequences go by in chunks, so any number of them needs the same memory. A sequence that the
model cannot take gets an empty value in its place; none is dropped.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from bench.config import override
from bench.console import SILENT, Console
from bench.data.dataset import Split
from bench.data.sequence_stream import chunks, open_sequences, open_whole, records
from bench.data.sequences import LETTERS, encode_lines
from bench.errors import BenchError, argument
from bench.model import Model, TargetScale
from bench.registry import MODELS
from bench.results import run_folder
from bench.training.device import choose_device
from bench.training.loader import InputTransform
from bench.training.predict import predict

_CHUNK = 16_384  # sequences in memory at once
_TOLD = 20  # rows without a value that are told one by one


@dataclass(frozen=True, slots=True)
class Predictor:
    """A trained model with the preprocessing of its run.

    Attributes:
        model: On its device.
        transform: The way from sequences to its inputs, and from its predictions to their unit.
        device: Where it runs.
    """

    model: Model
    transform: InputTransform
    device: torch.device

    @classmethod
    def load(cls, run: Path, device: torch.device) -> Predictor:
        """Restore the model of a finished run.

        Raises:
            BenchError: The run has no weights, or its model is not registered or has changed.
        """
        manifest = run_folder.read_manifest(run)
        weights = run / run_folder.WEIGHTS
        if manifest.status != "finished":
            raise BenchError(f"{run} is {manifest.status}: only a finished run predicts.")
        if not weights.is_file():
            raise BenchError(
                f"{run}: no {run_folder.WEIGHTS}, so there is nothing to predict with."
            )
        model_class = MODELS.get(manifest.model.name)
        config = override(model_class.Config(), manifest.model.config, section="model")
        positions, length = manifest.model.positions, manifest.data.usual_length
        mean, std = manifest.target.mean, manifest.target.deviation
        if positions is None or length is None or mean is None or std is None:
            raise BenchError(f"{run}: its manifest does not say what its model takes and predicts.")
        transform = InputTransform(
            model_class.layout(config),
            length,
            manifest.data.flanks,
            TargetScale(mean, std),
            partial(model_class.input_columns, config),
        )
        model = model_class(config, positions)
        model.scale = transform.scale
        try:
            model.load_state_dict(load_file(weights))
        except (RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BenchError(
                f"{weights} does not fit today's {model_class.__name__}: {reason}"
            ) from None
        return cls(model.to(device), transform, device)

    def __call__(self, texts: list[bytes]) -> tuple[NDArray[np.float32], dict[int, str]]:
        """Predict a chunk of sequences.

        Returns:
            Predictions in the target's unit, ``(N,)``, NaN where there is none, and for those rows
            the reason.
        """
        longest = self.transform.longest
        sequences, known = encode_lines(texts, width=longest)
        rows = np.flatnonzero(known & (sequences.lengths > 0) & (sequences.lengths <= longest))
        faults: dict[int, str] = {}
        for row in np.setdiff1d(np.arange(len(texts)), rows).tolist():
            faults[row] = _fault(texts[row], longest)
        predictions = np.full(len(texts), np.nan, dtype=np.float32)
        if len(rows):
            taken = Split(sequences.take(rows), np.full(len(rows), np.nan))
            batches = self.transform.batches(taken, self.transform.columns(taken), self.device)
            predictions[rows] = self.transform.in_units(predict(self.model, batches))
            for row in rows[~np.isfinite(predictions[rows])].tolist():
                predictions[row] = np.nan
                faults[row] = "the model's prediction is not a finite number"
        return predictions, faults


def _fault(text: bytes, longest: int) -> str:
    if not text:
        return "no sequence"
    if len(text) > longest:
        return f"{len(text):,} letters, the model takes {longest:,} at most"
    letters = text.decode("latin-1")
    odd = next(letter for letter in letters if letter.upper() not in LETTERS)
    return f"letter {odd!r} is not one of {LETTERS}"


def predict_file(
    run: Path,
    sequences: str,
    out: Path | IO[bytes],
    console: Console = SILENT,
    *,
    as_json: bool,
    device: str,
) -> None:
    """Predict a file of sequences, and tell which rows got no value.

    Args:
        run: Folder of the run whose model predicts.
        sequences: A file, or "-" for standard input.
        out: A file, which appears once it is complete; or an open one.
        console: Where to tell.
        as_json: See :func:`write_predictions`.
        device: As for ``bench run``.

    Raises:
        BenchError: The run cannot predict, or a file cannot be read or written.
    """
    predictor = Predictor.load(run, choose_device(device))
    told = 0
    try:
        with open_sequences(sequences) as source, open_whole(out) as file:
            for row, reason in write_predictions(predictor, source, file, as_json=as_json):
                told += 1
                if told <= _TOLD:
                    console.warn(f"row {row:,}: {reason}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BenchError(
            f"{argument('sequences')} {sequences}: cut short or damaged: {error}"
        ) from None
    if told > _TOLD:
        console.warn(f"{told - _TOLD:,} more rows got no value")


def write_predictions(
    predictor: Predictor, source: Iterable[bytes], out: IO[bytes], *, as_json: bool = False
) -> Iterator[tuple[int, str]]:
    """Predict every sequence of ``source`` and write one value each, in order.

    Values have all digits of their float32, so that scoring them gives the run's own figures.

    Args:
        predictor: The model.
        source: Plain lines, tab-separated lines with the sequence first, or FASTA.
        out: Gets ``name<TAB>value`` lines, where a name is the sequence, or the FASTA record's.
        as_json: Whether to write a JSON object instead, {"0": value, …}, as challenges ask for it.

    Yields:
        Row (from 1) and reason of every sequence that got no value.
    """
    row = 0
    if as_json:
        out.write(b"{")
    for chunk in chunks(records(source), _CHUNK):
        values, faults = predictor([sequence for _, sequence in chunk])
        numbers = [b"" if v != v else repr(v).encode() for v in values.astype(float).tolist()]
        if as_json:
            out.writelines(
                b'%s\n"%d": %s' % (b"," if index else b"", index, number or b"null")
                for index, number in enumerate(numbers, start=row)
            )
        else:
            pairs = zip(chunk, numbers, strict=True)
            out.writelines(b"%s\t%s\n" % (name, number) for (name, _), number in pairs)
        yield from ((row + i + 1, reason) for i, reason in faults.items())
        row += len(chunk)
    if as_json:
        out.write(b"\n}\n")
