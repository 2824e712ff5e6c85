"""Exceptions of bench, and the spelling of argument names in their messages.

    * BenchError             a mistake the user can fix (exit status 2)
      + DivergedError        the loss is not a number any more
      + OutOfMemoryError     the device has too little memory for so many rows at once
      + RankError            one of several processes of a run failed (its exit status)
      + StoppedError         a signal stopped the run (exit status 128 + signal)
    * TrialError             a trial of a search ended, the search goes on
      + PrunedError          the trial was unpromising
      + InfeasibleError      the trial breaks a limit              (bench.tuning.trial)
      + LostError            the trial has another worker now      (bench.tuning.trial)

Exceptions that never leave their file:

    * _DamagedError          a file of an encoding has changed     (bench.sources.encoding_cache)
    * _PassingError          a download may work at the next try   (bench.sources.download.transfer)

Messages name arguments with :func:`argument`. The same message then reads "data /x: no such
folder." in Python and "--data /x: no such folder." on the command line, where
:mod:`bench.cli.common` inserts the names of the options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# Three characters of Unicode's private area, which no path and no message contains.
_START, _VALUE, _END = "\ue000", "\ue001", "\ue002"
_ARGUMENT = re.compile(f"{_START}([^{_VALUE}{_END}]+)(?:{_VALUE}([^{_END}]*))?{_END}")


_NO_MEMORY = (
    *("out of memory", "not enough memory", "can't allocate memory"),
    *("Cannot allocate memory", "failed to map segment", "std::bad_alloc"),
)


def argument(name: str, value: object = None) -> str:
    """Name an argument inside the text of a :class:`BenchError`.

    Args:
        name: Name of the argument in Python, such as "batch_per_device", or of a setting with its
            section, such as "model.dim".
        value: Value to suggest; None for the name alone.
    """
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{_START}{name}{'' if value is None else _VALUE + text}{_END}"


class BenchError(Exception):
    """A mistake the user can fix: one line with what is wrong, where, and what to do instead.

    The command line prints it without a traceback and exits with ``exit_status``.

    Args:
        message: Description of the problem; arguments in it are named with :func:`argument`.
        field: Argument or setting at fault, if it is not the first one that the message names.
        hint: Advice for the user: a sentence, or new values by argument name.

    Attributes:
        field: Argument or setting at fault, such as "data" or "model.dim"; None if there is none.
        hint: Advice for the user, as text or as new values by argument name; None if unknown.
    """

    exit_status = 2

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        hint: str | Mapping[str, object] | None = None,
    ) -> None:
        if isinstance(hint, Mapping):
            changes = " or ".join(argument(name, value) for name, value in hint.items())
            advice, self.hint = f"Try {changes}.", dict(hint)
        else:
            advice, self.hint = hint or "", hint and _render(hint, _in_python)
        super().__init__(f"{message} {advice}".strip())
        named = _ARGUMENT.search(self.text)
        self.field = field or (named[1] if named else None)

    hint: str | dict[str, object] | None

    @property
    def text(self) -> str:
        """Message and hint with argument names still marked, for use in another error's message."""
        return str(self.args[0])

    def render(self, spell: Callable[[str, str | None], str]) -> str:
        """Return the message and the hint in one line.

        Args:
            spell: Function from an argument's name and value (or None) to its text.
        """
        return " ".join(map(str.strip, _render(self.text, spell).splitlines()))

    def wrapped(self, before: str = "", after: str = "") -> BenchError:
        """Return the same error with additional text before and after its message."""
        return _restored(type(self), (f"{before}{self.text}{after}",), self.__dict__)

    def __str__(self) -> str:
        return self.render(_in_python)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Return the data for pickling, which works for any constructor of a derived class."""
        return _restored, (type(self), self.args, self.__dict__)


class DivergedError(BenchError):
    """The loss is not a number any more: the run failed and has no score."""


class OutOfMemoryError(BenchError):
    """The device has too little memory for so many rows at once."""


class RankError(BenchError):
    """One of several processes of a run failed, so the run failed.

    Args:
        message: Description of the problem; see :class:`BenchError`.
        exit_status: Exit status of the process that failed.
    """

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class StoppedError(BenchError):
    """A signal stopped the run; the run is saved and can be continued.

    Args:
        number: Number of the signal.
        message: Description of the problem; see :class:`BenchError`.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.exit_status = 128 + number


class TrialError(Exception):
    """A trial of a search ended without a score; the search itself goes on."""


class PrunedError(TrialError):
    """The search ended a run early, because the run is unpromising."""


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out.

    Torch raises a RuntimeError, or a subclass of it for CUDA, and the loader of shared libraries an
    ImportError or an OSError.
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError | OSError)
        and any(words in str(error) for words in _NO_MEMORY)
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or the name of its type if the text is empty."""
    return (str(error).splitlines() or [type(error).__name__])[0]


_SENT: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        *(BenchError, DivergedError, OutOfMemoryError, RankError, StoppedError),
        *(TrialError, PrunedError),
    )
}
"""The classes of errors that one rank can make of what another rank sent."""


def as_parts(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON values, from which :func:`from_parts` makes one of our own classes.

    An error of another class is sent as the nearest of its base classes that is ours. An error that
    has none is a bug in a rank, and becomes a :class:`RankError` with its first line.
    """
    kind = next((kind for kind in type(error).__mro__ if kind in _SENT.values()), None)
    if kind is None:
        what = f"{type(error).__name__}: {first_line(error)}"
        return as_parts(RankError(f"another rank failed: {what}", 1))
    if not isinstance(error, BenchError):
        return {"kind": kind.__name__, "text": str(error)}
    state = {name: vars(error)[name] for name in _STATE if name in vars(error)}
    return {"kind": kind.__name__, "text": error.text, "state": state}


def from_parts(parts: Mapping[str, Any]) -> Exception:
    """Return the error of :func:`as_parts`; its class is one of a fixed list."""
    kind = _SENT[parts["kind"]]
    if not issubclass(kind, BenchError):
        return kind(parts["text"])
    state = {name: value for name, value in parts["state"].items() if name in _STATE}
    return _restored(kind, (parts["text"],), state)


_STATE = ("field", "hint", "exit_status", "number")


def _restored(
    kind: type[BenchError], args: tuple[object, ...], state: Mapping[str, object]
) -> BenchError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def _render(text: str, spell: Callable[[str, str | None], str]) -> str:
    return _ARGUMENT.sub(lambda found: spell(found[1], found[2]), text)


def _in_python(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"
