"""The command lines that repeat or resume a run, as a user would type them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from bench.results.options import Request, run_options


def run_words(recorded: Mapping[str, Any], plugins: Iterable[str] = ()) -> list[str]:
    """Return the words after ``bench`` that run a request.

    Args:
        recorded: Values that :meth:`bench.results.options.Request.as_json` returned, as manifests
            keep them; options that are newer than the manifest may be absent.
        plugins: Files that define the model or the task.

    Raises:
        KeyError: The model or the task is absent.
    """
    words = ["run", "--model", recorded["model"], "--task", recorded["task"]]
    for known in run_options():
        value = recorded.get(known.name)
        skipped = known.flag is None or not known.decides or known.name in ("model", "task")
        if not skipped and value is not None and value is not False:
            words += known.spell(value)
    return [*words, *_spell_plugins(plugins)]


def run_line(recorded: Mapping[str, Any], plugins: Iterable[str] = ()) -> str:
    """Return the command line of :func:`run_words`, quoted for a shell."""
    return shlex.join(["bench", *run_words(recorded, plugins)])


def local_words(request: Request) -> list[str]:
    """Return the words of the options that do not decide the result and are not at their default.

    Args:
        request: Request with the options.
    """
    return [
        word
        for known in run_options()
        if known.flag is not None and not known.decides and known.name != "resume"
        for value in (getattr(request, known.name),)
        if value != known.default
        for word in known.spell(value)
    ]


def resume_words(run: str, plugins: Iterable[str] = ()) -> list[str]:
    """Return the words after ``bench`` that resume a run, given its name or folder."""
    return ["run", "--resume", run, *_spell_plugins(plugins)]


def _spell_plugins(plugins: Iterable[str]) -> list[str]:
    return [word for file in plugins for word in ("--plugin", file)]
