"""The identity of a run: a hash of everything that decides its result.

The identity includes the model with its source files and settings, the recipe and the plan, the
rows, the seed, and the versions of the training code and of this program. It excludes devices,
folders and times; for ``batch_per_device`` see :class:`bench.results.options.Request`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

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
        request: Request of the run.
        described: Part of the run's manifest that is decided before training.
        model: Class of the run's model.
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
    if described.weights is not None:  # a part of its own: other runs keep their identity
        parts["weights"] = [described.weights.sha256, described.target.to_json()]
    return {
        name: hashlib.blake2b(
            json.dumps(finite(part), sort_keys=True).encode(), digest_size=6
        ).hexdigest()
        for name, part in parts.items()
    }


def source_of(model: type[Model]) -> str:
    """Return the source text of a model, so that an edited model has another identity.

    The text is that of the model's file and of the files in the same folder or below from which
    the model's file imports names. A class from a notebook has no file: its source text is that of
    its methods and of everything in the notebook that they use. Where a text is not available, the
    compiled code takes its place.
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
    """Return the text of a class without a file, and of everything in its module that it uses.

    The class may use other classes and functions of the module, and plain values such as a width.
    """
    module, texts = sys.modules.get(model.__module__), dict[str, str]()
    open_ends: list[Any] = [model, model.Config]
    while open_ends:
        for name, function in _functions(open_ends.pop()):
            if name in texts:
                continue
            texts[name] = _text_of(function)
            for used in {name for code in _codes(function.__code__) for name in code.co_names}:
                found = getattr(module, used, None)
                if getattr(found, "__module__", None) == model.__module__:
                    open_ends.append(found)
                elif isinstance(found, int | float | str | tuple):
                    texts[used] = f"{used} = {found!r}"
    return "\n".join(text for _, text in sorted(texts.items()))


def _functions(value: Any) -> Iterator[tuple[str, FunctionType]]:
    """Yield a function, or the methods of a class and of its bases outside bench and torch."""
    if inspect.isfunction(unwrapped := inspect.unwrap(value)):
        yield unwrapped.__qualname__, unwrapped
    for part in getattr(value, "__mro__", ()):
        if part.__module__.split(".")[0] in ("bench", "torch", "builtins", "typing"):
            continue
        for name, member in vars(part).items():
            function = inspect.unwrap(getattr(member, "fget", getattr(member, "__func__", member)))
            if is_dataclass(part) and name.startswith("__"):
                continue  # the dataclass decorator has written it
            if inspect.isfunction(function):
                yield f"{part.__qualname__}.{name}", function


def _text_of(function: FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except OSError:
        codes = _codes(function.__code__)
        return "\n".join(f"{c.co_code.hex()} {c.co_names} {_constants(c)}" for c in codes)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _constants(code: CodeType) -> list[object]:
    return [value for value in code.co_consts if not isinstance(value, CodeType)]
