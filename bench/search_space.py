"""What a search may vary: the values of a setting, declared beside the settings they belong to.

    space = {"dim": Choice((64, 128, 256)), "dropout": Range(0, 0.3), "k": Range(4, 12)}

A user writes the same on a command line: ``model.dim=64,128,256``, ``model.dropout=0..0.3``,
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
        """Return the values to try before a search starts: here all of them."""
        return self.values


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones where the setting is whole."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{'log:' * self.log}{self.low}..{self.high}"

    def ends(self) -> tuple[Value, ...]:
        """Return the values to try before a search starts."""
        return (self.low, self.high)


Space: TypeAlias = Choice | Range
Spaces: TypeAlias = Mapping[str, Space]
"""By ``section.field``, such as model.dim or recipe.lr."""


def checked(declared: Mapping[str, Spaces], types: Mapping[str, type[Any]]) -> dict[str, Space]:
    """Return declared spaces by their whole names, every value held against its field.

    Args:
        declared: Spaces by section and field.
        types: The settings class of every section.

    Raises:
        BenchError: As :func:`parsed`.
    """
    return {
        f"{section}.{field}": _typed(space, types[section], section, field)
        for section, spaces in declared.items()
        for field, space in spaces.items()
    }


def parsed(assignments: Iterable[str], types: Mapping[str, type[Any]]) -> dict[str, Space]:
    """Read spaces as users write them, ``section.field=SPACE``.

    Raises:
        BenchError: Another form, no such field, no value, low above high, or a value of the wrong
            type or out of range.
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
    """Read ``low..high`` or a list; the values stay text."""
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
    """Hold a space against its field, and give its values the field's type."""
    label = f"{section}.{field}"
    texts = [spell(value) for value in space.ends()]  # so that declared types count, too
    values: list[Any] = [typed_value(settings_type, field, text, section=section) for text in texts]
    if not values:
        raise BenchError(f"the space of {label} has no values.")
    if isinstance(values[0], tuple):
        raise BenchError(
            f"{label} is several numbers at once, which no search varies. "
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
            f"{label} is no number: list its values, {argument('space')} {label}=A,B.", field=label
        )
    if low > high:
        raise BenchError(
            f"the space of {label} has its low, {low}, above its high, {high}. "
            f"Try {argument('space')} {label}={Range(high, low, space.log)}.",
            field=label,
        )
    if space.log and low <= 0:
        raise BenchError(f"a logarithmic space starts above 0; {label} starts at {low}.")
    return Range(low, high, space.log)
