"""Typed settings: frozen dataclasses whose fields know their meaning, and ``--set`` on top.

Configurations of models, options of tasks and the recipe are all such dataclasses, so one piece
of code prints them, checks them and reads ``model.dim=256`` from a command line.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from bench.errors import BenchError, argument

T = TypeVar("T")
_SEVERAL = tuple[int, ...]


def setting(default: T, meaning: str, *, low: float | None = None, high: float | None = None) -> T:
    """Declare a dataclass field with its meaning and, for numbers, its inclusive bounds.

    The bounds of a ``tuple[int, ...]`` are those of every number in it; it is never empty.
    """
    metadata = {"meaning": meaning, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


def split_assignments(assignments: Iterable[str]) -> dict[str, dict[str, str]]:
    """Sort ``section.field=value`` arguments into ``{section: {field: text}}``.

    Raises:
        BenchError: An argument has another form, or names another section than model, task or
            recipe.
    """
    sections: dict[str, dict[str, str]] = {"model": {}, "task": {}, "recipe": {}}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        section, dot, field = name.strip().partition(".")
        if not equals or not dot or not field:
            raise BenchError(
                f"{argument('settings')} takes section.field=value, got '{assignment}'."
            )
        if section not in sections:
            raise BenchError(
                f"{argument('settings')} {assignment}: no section '{section}'."
                f"{_suggest(section, sections)} Sections are model, task and recipe."
            )
        sections[section][field] = value.strip()
    return sections


def override(settings: T, values: Mapping[str, object], *, section: str) -> T:
    """Return a copy of ``settings`` with some fields replaced.

    Args:
        settings: A dataclass of fields declared with :func:`setting`.
        values: New values by field name, as text (from a command line), already typed (from a
            preset), or as JSON keeps them, which has lists for tuples.
        section: What the fields are called in messages, such as "model".

    Raises:
        BenchError: No such field, or a value of the wrong type or out of range.
    """
    if not values:
        return settings
    kind = type(settings)
    typed = {
        name: typed_value(kind, name, value, section=section) for name, value in values.items()
    }
    return cast("T", dataclasses.replace(cast("Any", settings), **typed))


def typed_value(settings_type: type[Any], name: str, value: object, *, section: str) -> object:
    """Return one field's value, parsed where it is text, checked against the field's bounds.

    Raises:
        BenchError: No such field, or a value of the wrong type or out of range.
    """
    fields = {field.name: field for field in dataclasses.fields(settings_type)}
    if name not in fields:
        raise BenchError(
            f"{section} has no setting '{name}'.{_suggest(name, fields)} "
            f"It has: {', '.join(fields) or 'none'}.",
            field=f"{section}.{name}",
        )
    label, hint = f"{section}.{name}", get_type_hints(settings_type)[name]
    if hint == _SEVERAL:
        numbers = _several(value, label)
        for number in numbers:
            _check_range(number, fields[name].metadata, label)
        return numbers
    if isinstance(value, str):
        value = _parse(value, hint, label)
    _check_range(value, fields[name].metadata, label)
    return value


def describe(settings_type: type[Any]) -> list[dict[str, str]]:
    """Tabulate a settings class: name, type, default and meaning of every field."""
    hints = get_type_hints(settings_type)
    return [
        {
            "name": field.name,
            "type": type_name(hints[field.name]),
            "default": _shown(field.default),
            "meaning": field.metadata.get("meaning", ""),
        }
        for field in dataclasses.fields(settings_type)
    ]


def spell(value: object) -> str:
    """Write a value as ``--set`` reads it back, exactly."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(spell, value))
    return repr(value) if isinstance(value, float) else str(value)


def as_dict(settings: object) -> dict[str, Any]:
    """Return the fields of a settings dataclass as plain JSON values: lists for tuples."""
    fields = dataclasses.asdict(cast("Any", settings)).items()
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields}


def type_name(hint: object) -> str:
    """Spell a field's type as a user would: ``int``, ``adam | rmsprop``, ``int | none``."""
    if get_origin(hint) is Literal:
        return " | ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(type_name(arm) for arm in get_args(hint))
    if hint == _SEVERAL:
        return "int,…"
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _shown(default: object) -> str:
    return spell(default) if isinstance(default, tuple) else str(default)


def _several(value: object, label: str) -> tuple[int, ...]:
    """Return whole numbers from text such as 15,20 or from a list, as JSON has it."""
    parts: Any = value.split(",") if isinstance(value, str) else value
    try:
        numbers = tuple(int(p) if isinstance(p, str) else operator.index(p) for p in parts)
    except (TypeError, ValueError):
        numbers = ()
    if not numbers:
        raise BenchError(
            f"{label} is one or more whole numbers with commas between them; got '{value}'.",
            field=label,
        )
    return numbers


def _parse(text: str, hint: object, label: str) -> object:
    """Turn text into the field's type, or say what is allowed."""
    if get_origin(hint) in (Union, types.UnionType):  # optional: ``int | None``
        if text.lower() == "none":
            return None
        hint = next(arm for arm in get_args(hint) if arm is not type(None))
    if get_origin(hint) is Literal:
        choices = {str(choice): choice for choice in get_args(hint)}
        if text in choices:
            return choices[text]
        hint_text = _suggest(text, choices)
        raise BenchError(
            f"{label} is one of {', '.join(choices)}; got '{text}'.{hint_text}", field=label
        )
    if hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise BenchError(f"{label} is true or false; got '{text}'.", field=label)
    kinds: dict[object, str] = {int: "a whole number", float: "a number", str: "text"}
    if hint not in kinds:
        raise BenchError(
            f"{label} ({type_name(hint)}) cannot be given on a command line.", field=label
        )
    try:
        return cast("type[Any]", hint)(text)
    except ValueError:
        raise BenchError(f"{label} is {kinds[hint]}; got '{text}'.", field=label) from None


def _check_range(value: object, metadata: Mapping[str, Any], label: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, high = metadata.get("low"), metadata.get("high")
    if not math.isfinite(value):
        allowed = "a finite number"
    elif (low is None or value >= low) and (high is None or value <= high):
        return
    elif low is not None and high is not None:
        allowed = f"between {low} and {high}"
    else:
        allowed = f"at least {low}" if low is not None else f"at most {high}"
    raise BenchError(f"{label} must be {allowed}; got {value}.", field=label)


def _suggest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
