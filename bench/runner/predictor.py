"""The predictor: the model of a finished run, for sequences from a file or a pipe.

Sequences are read in chunks, so the memory does not depend on their number. A sequence that the
model cannot take gets an empty value; no sequence is dropped.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
from bench.errors import BenchError, argument, first_line
from bench.model import Model, TargetScale
from bench.registry import MODELS, check_named
from bench.results import run_folder
from bench.training.device import choose_device
from bench.training.loader import InputTransform, further_inputs
from bench.training.predict import predict
from bench.training.views import PredictionRule

_CHUNK = 16_384  # sequences in memory at once
_TOLD = 20  # rows without a value that are reported one by one


@dataclass(frozen=True, slots=True)
class Predictor:
    """A trained model with the preprocessing of its run.

    Attributes:
        model: Model on its device.
        transform: Conversion of sequences to inputs, and of predictions to the target's unit.
        device: Device of the model.
    """

    model: Model
    transform: InputTransform
    device: torch.device

    @classmethod
    def load(cls, run: Path, device: torch.device) -> Predictor:
        """Return the predictor of a finished run.

        Raises:
            BenchError: The run is not finished or has no weights, or its model is not registered
                or has changed.
        """
        manifest = run_folder.read_manifest(run)
        weights = run / run_folder.WEIGHTS
        if manifest.status != "finished":
            raise BenchError(f"{run} is {manifest.status}: only a finished run predicts.")
        if not weights.is_file():
            raise BenchError(
                f"{run}: no {run_folder.WEIGHTS}, so there is nothing to predict with."
            )
        origin = manifest.model.origin
        check_named(f"run {run.name}", manifest.model.name, None, [origin] * origin.endswith(".py"))
        model_class = MODELS.get(manifest.model.name)
        config = override(model_class.Config(), manifest.model.config, section="model")
        positions, length = manifest.model.positions, manifest.data.usual_length
        mean, std = manifest.target.mean, manifest.target.deviation
        if positions is None or length is None or mean is None or std is None:
            raise BenchError(
                f"{run}: its manifest does not record the model's input length and scale."
            )
        transform = InputTransform(
            model_class.layout(config),
            length,
            manifest.data.flanks,
            TargetScale(mean, std),
            partial(further_inputs, model_class, config),
            PredictionRule.of(manifest.recipe.settings),
        )
        try:
            model = model_class(config, positions)
        except (RuntimeError, MemoryError) as error:  # the sizes are those of the manifest
            raise BenchError(
                f"{run}: its model cannot be made: {first_line(error)[:200]}"
            ) from None
        model.scale = transform.scale
        try:
            model.load_state_dict(load_file(weights))
        except (RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BenchError(
                f"{weights} does not fit the current {model_class.__name__}: {reason}"
            ) from None
        return cls(model.to(device), transform, device)

    def __call__(self, texts: list[bytes]) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Return the predictions of a chunk of sequences.

        Returns:
            Predictions in the target's unit, ``(N,)``, NaN where a sequence has none, and the
            reasons by the number of those rows.
        """
        longest = self.transform.longest
        sequences, known = encode_lines(texts, width=longest)
        rows = np.flatnonzero(known & (sequences.lengths > 0) & (sequences.lengths <= longest))
        faults: dict[int, str] = {}
        for row in np.setdiff1d(np.arange(len(texts)), rows).tolist():
            faults[row] = _fault(texts[row], longest)
        predictions = np.full(len(texts), np.nan)
        if len(rows):
            taken = Split(sequences.take(rows), np.full(len(rows), np.nan))
            batches = self.transform.batches(taken, self.transform.columns(taken), self.device)
            predictions[rows] = self.transform.in_units(predict(self.model, batches))
            for row in rows[~np.isfinite(predictions[rows])].tolist():
                predictions[row] = np.nan
                faults[row] = "the model's prediction is not a finite number"
        return predictions, faults


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several predictors, whose mean is the prediction.

    Attributes:
        members: Predictors of runs with the same target.
    """

    members: tuple[Predictor, ...]

    @classmethod
    def load(cls, runs: Sequence[Path], device: torch.device) -> Ensemble:
        """Return the ensemble of finished runs; a single run is an ensemble of one.

        Raises:
            BenchError: A run cannot predict, or the runs are on different data.
        """
        data = {run_folder.read_manifest(run).data.name or "?" for run in runs}
        if len(data) > 1:
            raise BenchError(f"runs on different data have no mean: {', '.join(sorted(data))}.")
        return cls(tuple(Predictor.load(run, device) for run in runs))

    def __call__(self, texts: list[bytes]) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Return the mean predictions of a chunk of sequences; see :class:`Predictor`.

        A sequence that one of the members cannot take has no prediction.
        """
        found = [member(texts) for member in self.members]
        faults = {row: reason for _, told in found for row, reason in told.items()}
        return np.mean([values for values, _ in found], axis=0), dict(sorted(faults.items()))


def _fault(text: bytes, longest: int) -> str:
    if not text:
        return "no sequence"
    if len(text) > longest:
        return f"{len(text):,} nt, the model takes {longest:,} at most"
    letters = text.decode("latin-1")
    odd = next(letter for letter in letters if letter.upper() not in LETTERS)
    return f"letter {odd!r} is not one of {LETTERS}"


def predict_texts(
    runs: Sequence[Path], sequences: Iterable[str], *, device: str
) -> NDArray[np.float64]:
    """Return the predictions of sequences in memory ``(N,)``, in the target's unit.

    Args:
        runs: Folders of the runs whose models predict; the mean of several is returned.
        sequences: DNA sequences.
        device: Name of the device, as for ``bench run``.

    Raises:
        BenchError: A run cannot predict, or a model cannot take a sequence.
    """
    texts = [sequence.encode() for sequence in sequences]
    predictions, faults = Ensemble.load(runs, choose_device(device))(texts)
    if faults:
        row, reason = next(iter(faults.items()))
        more = f" ({len(faults) - 1:,} more rows)" if len(faults) > 1 else ""
        raise BenchError(f"sequence {row}: {reason}{more}.")
    return predictions


def predict_file(
    runs: Sequence[Path],
    sequences: str,
    out: Path | IO[bytes],
    console: Console = SILENT,
    *,
    as_json: bool,
    device: str,
) -> None:
    """Write the predictions of a file of sequences, and report the rows without a value.

    Args:
        runs: Folders of the runs whose models predict; the mean of several is written.
        sequences: Path of a file, or "-" for standard input.
        out: Path of a file, which appears once it is complete, or an open file.
        console: Console for the rows without a value.
        as_json: Whether to write a JSON object; see :func:`write_predictions`.
        device: Name of the device, as for ``bench run``.

    Raises:
        BenchError: The run cannot predict, or a file cannot be read or written.
    """
    predictor = Ensemble.load(runs, choose_device(device))
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs)
        console.say(f"ensemble, the mean of {len(runs)} runs: {names}")
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
    predictor: Ensemble, source: Iterable[bytes], out: IO[bytes], *, as_json: bool = False
) -> Iterator[tuple[int, str]]:
    """Write one prediction for every sequence of ``source``, in their order.

    Values have all their digits, so that their scores are the same as the run's.

    Args:
        predictor: Predictors of one or several runs.
        source: Plain lines, tab-separated lines with the sequence first, or FASTA.
        out: File for lines ``name<TAB>value``; the name is the sequence, or that of the FASTA
            record.
        as_json: Whether to write a JSON object instead, {"0": value, …}, the form of the challenge.

    Yields:
        Row (from 1) and reason of every sequence without a value.
    """
    row = 0
    if as_json:
        out.write(b"{")
    for chunk in chunks(records(source), _CHUNK):
        values, faults = predictor([sequence for _, sequence in chunk])
        numbers = [b"" if v != v else repr(v).encode() for v in values.tolist()]
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
