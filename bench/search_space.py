"""Search spaces: the values of a setting that a search tries.

    space = {"dim": Choice((64, 128, 256)), "dropout": Range(0, 0.3), "k": Range(4, 12)}

On a command line the same spaces are ``model.dim=64,128,256``, ``model.dropout=0..0.3`` and
``recipe.lr=log:1e-4..1e-2``; a single value fixes the setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from bench.config import spell, typed_value
from bench.errors import BenchError, argument

Value: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return ",".join(map(spell, self.values))

    def ends(self) -> tuple[Value, ...]:
        """Return the values to check before a search starts: all values."""
        return self.values


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole numbers if the setting is an int."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{'log:' * self.log}{self.low}..{self.high}"

    def ends(self) -> tuple[Value, ...]:
        """Return the values to check before a search starts: the two bounds."""
        return (self.low, self.high)


Space: TypeAlias = Choice | Range
Spaces: TypeAlias = Mapping[str, Space]
"""Search spaces by field, such as dim, or by ``section.field``, such as model.dim."""


def checked(declared: Mapping[str, Spaces], types: Mapping[str, type[Any]]) -> dict[str, Space]:
    """Return declared spaces by ``section.field``, with every value checked against its field.

    Args:
        declared: Spaces by section and field.
        types: Settings class of every section.

    Raises:
        BenchError: The same errors as in :func:`parsed`.
    """
    return {
        f"{section}.{field}": _typed(space, types[section], section, field)
        for section, spaces in declared.items()
        for field, space in spaces.items()
    }


def parsed(assignments: Iterable[str], types: Mapping[str, type[Any]]) -> dict[str, Space]:
    """Return the spaces of command-line arguments, ``section.field=SPACE``.

    Raises:
        BenchError: An argument has another form, there is no such field, a value is missing, low is
            above high, or a value has the wrong type or is out of range.
    """
    spaces: dict[str, Space] = {}
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        section, dot, field = name.partition(".")
        if not equals or not dot or section not in types:
            raise BenchError(
                f"{argument('space')} takes model.FIELD=SPACE or recipe.FIELD=SPACE, "
                f"got '{assignment}'. A SPACE is 64,128,256 or 1..6 or log:1e-4..1e-2 or one value."
            )
        if name in spaces:
            raise BenchError(f"{argument('space')} names {name} twice. Give it once.")
        spaces[name] = _typed(_read(text, name), types[section], section, field)
    return spaces


def _read(text: str, label: str) -> Space:
    """Parse ``low..high`` or a list; the values stay text."""
    low, dots, high = text.removeprefix("log:").partition("..")
    if text.startswith("log:") and not dots:
        raise BenchError(
            f"{argument('space')} {label}={text}: a logarithmic space is log:LOW..HIGH."
        )
    values = [low, high] if dots else text.split(",")
    if not all(value.strip() for value in values):
        raise BenchError(f"{argument('space')} {label}={text}: a value is missing.")
    if dots:
        return Range(cast("float", low), cast("float", high), text.startswith("log:"))
    return Choice(tuple(value.strip() for value in values))


def _typed(space: Space, settings_type: type[Any], section: str, field: str) -> Space:
    """Check a space against its field, and convert its values to the field's type."""
    label = f"{section}.{field}"
    texts = [spell(value) for value in space.ends()]  # declared values are parsed like text
    values: list[Any] = [typed_value(settings_type, field, text, section=section) for text in texts]
    if not values:
        raise BenchError(f"the space of {label} has no values.")
    if isinstance(values[0], tuple):
        raise BenchError(
            f"{label} is a list of numbers, which a search cannot vary. "
            f"Fix it by {argument('settings')}.",
            field=label,
        )
    if isinstance(space, Choice):
        if len(set(values)) < len(values):
            raise BenchError(f"the space of {label} lists a value twice: {space}.")
        return Choice(tuple(values))
    low, high = values
    if isinstance(low, bool) or not isinstance(low, int | float):
        raise BenchError(
            f"{label} is not a number: list its values, {argument('space')} {label}=A,B.",
            field=label,
        )
    if low > high:
        raise BenchError(
            f"the space of {label} starts at {low}, above its end, {high}. "
            f"Try {argument('space')} {label}={Range(high, low, space.log)}.",
            field=label,
        )
    if space.log and low <= 0:
        raise BenchError(f"a logarithmic space starts above 0; {label} starts at {low}.")
    return Range(low, high, space.log)
