"""The identity of a run: a hash of everything that decides its result.

These are the model with the source files it is made of, its configuration, the recipe and the
plan, the rows, the seed, and the versions of the training and of this program. Devices, places and
time are not part of it; for ``batch_per_device`` see :class:`bench.results.options.Request`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from pathlib import Path

from bench.atomic import finite
from bench.model import Model
from bench.results.manifest import Manifest
from bench.results.options import Request, run_options
from bench.training.version import TRAINING
from bench.version import __version__


def identity(
    request: Request, described: Manifest, model: type[Model], test_rows: str
) -> dict[str, str]:
    """Return a short hash of every part that decides the result of a run, by the part's name.

    Args:
        request: Run that is wanted.
        described: Part of its manifest that is decided before training.
        model: Class of its model.
        test_rows: Fingerprint of the test rows and their subsets.
    """
    parts = {
        **described.deciding(),
        **{known.name: getattr(request, known.name) for known in run_options() if known.identifies},
        "test rows": test_rows,
        "precision": described.device.precision,
        "source": source_of(model),
        "training": TRAINING,
        "version": __version__,
    }
    return {
        name: hashlib.blake2b(
            json.dumps(finite(part), sort_keys=True).encode(), digest_size=6
        ).hexdigest()
        for name, part in parts.items()
    }


def source_of(model: type[Model]) -> str:
    """Return the source text that a model is made of: an edited model is another one.

    It is the text of the model's file and of the files beside or below it that the file takes
    names from. A class from a notebook has no file: the text of its own cells counts, or the
    compiled code where even that is not at hand.
    """
    try:
        file = Path(inspect.getfile(model)).resolve()
    except (TypeError, OSError):
        return _source_of_functions(model)
    own = {file}
    for value in vars(sys.modules[model.__module__]).values():
        module = value if inspect.ismodule(value) else inspect.getmodule(value)
        place = getattr(module, "__file__", None)
        if place is not None and Path(place).resolve().is_relative_to(file.parent):
            own.add(Path(place).resolve())
    own = {path for path in own if "site-packages" not in path.parts or path == file}
    return "".join(path.read_text(encoding="utf-8") for path in sorted(own))


def _source_of_functions(model: type[Model]) -> str:
    """Return the text of the methods of a class and of its bases, up to the contract's."""
    texts = []
    for part in model.__mro__:
        if part.__module__.split(".")[0] in ("bench", "torch", "builtins", "typing"):
            continue
        for name, value in sorted(vars(part).items()):
            function = inspect.unwrap(getattr(value, "__func__", value))
            if inspect.isfunction(function):
                try:
                    texts.append(inspect.getsource(function))
                except OSError:
                    code = function.__code__
                    texts.append(f"{name} {code.co_code.hex()} {code.co_names} {code.co_consts!r}")
    return "\n".join(texts)
