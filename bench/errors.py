"""The exceptions of bench, and the words in which they name arguments.

    * BenchError             a mistake the user can fix (exit status 2)
      + DivergedError        the loss is no number any more
      + OutOfMemoryError     the device has too little memory for so many rows at once
      + RankError            one of several processes of a run failed (its exit status)
      + StoppedError         a signal asked for the end (exit status 128 + signal)
    * PrunedError            the rest of a run is not worth its time

Private to one file, so that nobody outside meets them:

    * InfeasibleError        a trial breaks a limit                (bench.tuning.trial)
    * LostError              a trial was given to another worker   (bench.tuning.trial)
    * _PassingError          a download may work at the next try   (bench.sources.download.transfer)

A sentence names an argument by :func:`argument`. The same sentence then reads "data /x: no such
folder." in Python and "--data /x: no such folder." on the command line, which spells the names of
its options itself (:mod:`bench.cli.common`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

# Three letters of Unicode's private area, so that no path and no sentence has them.
_START, _VALUE, _END = "\ue000", "\ue001", "\ue002"
_ARGUMENT = re.compile(f"{_START}([^{_VALUE}{_END}]+)(?:{_VALUE}([^{_END}]*))?{_END}")


def argument(name: str, value: object = None) -> str:
    """Name an argument inside the text of a :class:`BenchError`.

    Args:
        name: Name in Python, such as "batch_per_device"; a setting with its section, such as
            "model.dim".
        value: Value to take; None names the argument alone.
    """
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{_START}{name}{'' if value is None else _VALUE + text}{_END}"


class BenchError(Exception):
    """A mistake the user can fix: one line with what is wrong, where, and what to do instead.

    The command line prints it without a traceback and exits with ``exit_status``.

    Args:
        message: Sentences that say what is wrong; arguments in them are named by :func:`argument`.
        field: Argument or setting at fault, where it is not the first one that the text names.
        hint: What to change: sentences, or new values by the names of arguments.

    Attributes:
        field: Argument or setting at fault, such as "data" or "model.dim"; None if there is none.
        hint: What to change, as text or as values by the names of arguments; None if unknown.
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
        """Message and hint, for the text of another :class:`BenchError`; names are not spelled."""
        return str(self.args[0])

    def render(self, spell: Callable[[str, str | None], str]) -> str:
        """Return message and hint in one line.

        Args:
            spell: Returns the words for an argument of this name and value (None for no value).
        """
        return " ".join(map(str.strip, _render(self.text, spell).splitlines()))

    def wrapped(self, before: str = "", after: str = "") -> BenchError:
        """Return the same error with words before and after its text."""
        return _restored(type(self), (f"{before}{self.text}{after}",), self.__dict__)

    def __str__(self) -> str:
        return self.render(_in_python)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error travel between ranks, whatever a derived class takes to be made."""
        return _restored, (type(self), self.args, self.__dict__)


class DivergedError(BenchError):
    """The loss is no longer a number: the run failed and has no score."""


class OutOfMemoryError(BenchError):
    """The device has too little memory for so many rows at once."""


class RankError(BenchError):
    """One of several processes of a run failed, and with it the run.

    Args:
        message: As of :class:`BenchError`.
        exit_status: Exit status of the process that failed.
    """

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class StoppedError(BenchError):
    """A signal asked the run to end; it is saved and can go on.

    Args:
        number: Number of the signal.
        message: As of :class:`BenchError`.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.exit_status = 128 + number


class PrunedError(Exception):
    """The caller that watches a run ends it: the rest is not worth its time."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


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
