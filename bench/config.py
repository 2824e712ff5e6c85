"""Typed settings: frozen dataclasses whose fields have a meaning and bounds, and ``--set``.

    @settings
    class TinyConfig:
        filters: int = setting(32, "filters of the convolution", low=1)

Configurations of models, options of tasks and the recipe are all such dataclasses. This module
prints them, checks them and reads ``model.dim=256`` from a command line. Values are checked when
the object is created: ``TinyConfig(filters=0)`` raises an error.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Iterable, Mapping
from typing import (
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from bench.errors import BenchError, argument

LARGEST_WHOLE = (1 << 63) - 1
"""Largest whole number that every library and table holds."""

T = TypeVar("T")
_SEVERAL = tuple[int, ...]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Turn a class into a frozen dataclass that checks the type and the bounds of every field.

    The fields are checked first; then the class's own ``__post_init__`` may compare them. The class
    has no slots, because slots need a second class, in which ``super()`` without arguments fails.
    """
    compare_fields = getattr(cls, "__post_init__", None)

    def __post_init__(self: object) -> None:  # noqa: N807
        kind = type(self)
        hints = get_type_hints(kind)
        for name, field in _fields(kind).items():
            value = getattr(self, name)
            _check(value, hints[name], field.metadata, f"{kind.__name__}.{name}")
            object.__setattr__(self, name, _without_lists(value))
        if compare_fields is not None:
            compare_fields(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


@settings
class NoSettings:
    """Settings of a plugin that has no settings."""


def setting(default: T, meaning: str, *, low: float | None = None, high: float | None = None) -> T:
    """Declare a dataclass field with its meaning and, for numbers, its inclusive bounds.

    The bounds of a ``tuple[int, ...]`` hold for every number in it; the tuple is never empty.
    """
    metadata = {"meaning": meaning, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


def split_assignments(assignments: Iterable[str]) -> dict[str, dict[str, str]]:
    """Sort ``section.field=value`` arguments into ``{section: {field: text}}``.

    Raises:
        BenchError: An argument has another form, or its section is not model, task or recipe.
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
        values: New values by field name: text (from a command line), typed values (from a preset),
            or JSON values, which have lists in place of tuples.
        section: Name of the section in messages, such as "model".

    Raises:
        BenchError: There is no such field, or a value has the wrong type or is out of range.
    """
    if not values:
        return settings
    kind = type(settings)
    typed = {
        name: typed_value(kind, name, value, section=section) for name, value in values.items()
    }
    return cast("T", dataclasses.replace(cast("Any", settings), **typed))


def typed_value(settings_type: type[Any], name: str, value: object, *, section: str) -> object:
    """Return the checked value of one field; text is parsed first.

    Raises:
        BenchError: There is no such field, or the value has the wrong type or is out of range.
    """
    fields = _fields(settings_type)
    if name not in fields:
        raise BenchError(
            f"{section} has no setting '{name}'.{_suggest(name, fields)} "
            f"It has: {', '.join(fields) or 'none'}.",
            field=f"{section}.{name}",
        )
    label, hint = f"{section}.{name}", get_type_hints(settings_type)[name]
    if isinstance(value, str):
        value = _parse(value, hint, label)
    _check(value, hint, fields[name].metadata, label)
    return _without_lists(value)


def describe(settings_type: type[Any]) -> list[dict[str, str]]:
    """Return the name, type, default and meaning of every field of a settings class."""
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
    """Return the text from which ``--set`` reads exactly this value."""
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
    """Return the name of a field's type for users: ``int``, ``adam | rmsprop``, ``int | none``."""
    if get_origin(hint) is Literal:
        return " | ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(type_name(arm) for arm in get_args(hint))
    if hint == _SEVERAL:
        return "int,…"
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _shown(default: object) -> str:
    return spell(default) if isinstance(default, tuple) else str(default)


def _fields(settings_type: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(settings_type)}


def _parse(text: str, hint: object, label: str) -> object:
    """Convert text to the field's type; text that cannot be converted stays text and fails later.

    :func:`_check` then raises the error.
    """
    if get_origin(hint) in (Union, types.UnionType):  # optional: ``int | None``
        return None if text.lower() == "none" else _parse(text, _not_none(hint), label)
    if get_origin(hint) is Literal:
        return {str(choice): choice for choice in get_args(hint)}.get(text, text)
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if hint not in (*_KINDS, _SEVERAL):
        raise BenchError(
            f"{label} ({type_name(hint)}) cannot be given on a command line.", field=label
        )
    try:
        if hint == _SEVERAL:
            return tuple(int(part) for part in text.split(","))
        return cast("type[Any]", hint)(text)
    except ValueError:
        return text


_KINDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def _check(value: object, hint: object, metadata: Mapping[str, Any], label: str) -> None:
    """Check a value against the type and the bounds of its field; other types are not checked.

    Raises:
        BenchError: The type or the value is wrong; the message names the allowed values.
    """
    if get_origin(hint) in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return
        hint = _not_none(hint)
    if get_origin(hint) is Literal:
        choices = {str(choice): choice for choice in get_args(hint)}
        if not any(value == choice and type(value) is type(choice) for choice in get_args(hint)):
            near = "" if str(value) in choices else _suggest(str(value), choices)
            allowed = f"is one of {', '.join(choices)}; got {value!r}.{near}"
            raise BenchError(f"{label} {allowed}", field=label)
    elif hint == _SEVERAL and not _is_several(value):
        allowed = "is one or more whole numbers with commas between them"
        raise BenchError(f"{label} {allowed}; got '{value}'.", field=label)
    elif hint in _KINDS and not _is_of(value, hint):
        raise BenchError(f"{label} is {_KINDS[hint]}; got {value!r}.", field=label)
    for number in value if isinstance(value, list | tuple) else [value]:
        _check_range(number, metadata, label)


def _is_several(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(_is_of(n, int) for n in value)


def _without_lists(value: object) -> object:
    """Return a list as a tuple (JSON has no tuples), and any other value unchanged."""
    return tuple(value) if isinstance(value, list) else value


def _is_of(value: object, kind: object) -> bool:
    """Return whether a value has a type; an int is also a float here, and a bool is neither."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, cast("type[Any]", kind)) and (
        kind is bool or not isinstance(value, bool)
    )


def _not_none(union: object) -> object:
    return next(arm for arm in get_args(union) if arm is not type(None))


def _check_range(value: object, metadata: Mapping[str, Any], label: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, high = metadata.get("low"), metadata.get("high")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise BenchError(f"{label} must be a number of at most 63 bits.", field=label)
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
