"""Typed JSON objects that are written exactly as they were read.

A record is a frozen dataclass. It remembers the names of the fields that were given to it, in their
order, and writes only these: a field that is absent from the file stays absent, a null stays null,
and a field that this version does not know is kept. So reading a file and writing it again gives
the same file, whatever version wrote it.
"""

from __future__ import annotations

import dataclasses
import types
from collections import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from bench.errors import BenchError

Kinds = tuple[type, ...]
NUMBER: Kinds = (int, float, types.NoneType)
TEXT: Kinds = (str,)
SIMPLE: Kinds = (*NUMBER, str, bool)
SETTING: Kinds = (*SIMPLE, list)


def entry(
    default: Any,
    *,
    shared: bool = True,
    needed: bool = False,
    decides: bool = False,
    incidental: bool = False,
    values: Kinds = (),
) -> Any:
    """Declare a field of a record.

    Args:
        default: Value where the field is absent from the file; a class is called to make it.
        shared: Whether an exported or imported run keeps the field.
        needed: Whether an imported run has to have the field.
        decides: Whether the field decides the result of a run and is part of its identity.
        incidental: Whether the field is excluded from the identity although its record decides.
        values: Types of a mapping's values in an imported run; empty for any.
    """
    about = {
        "shared": shared,
        "needed": needed,
        "decides": decides,
        "incidental": incidental,
        "values": values,
    }
    if isinstance(default, type):
        return field(default_factory=default, metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class Record:
    """A JSON object with typed fields.

    Use :meth:`changed` instead of ``dataclasses.replace``, which would give every field a value, so
    that all fields would be written.

    Attributes:
        extra: Fields that are not declared.
        written: Names of the fields that are written, in the order of the file.
        open_to: Types of the extra fields that may be shared; empty where none may.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = field(init=False, repr=False, compare=False)
    open_to: ClassVar[Kinds] = ()

    def __new__(cls, **given: Any) -> Self:
        """Make a record that writes the fields that are given."""
        record = super().__new__(cls)
        names = dict.fromkeys(name for name in given if name != "extra")
        record.__dict__["written"] = tuple(names | dict.fromkeys(given.get("extra", ())))
        return record

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str = "") -> Self:
        """Return the record of a JSON object.

        Args:
            found: JSON object; missing fields get their defaults.
            where: Path of the object inside the file for messages, such as "model.".

        Raises:
            BenchError: A field has a wrong type; the message names the field.
        """
        kinds, record = _kinds(cls), object.__new__(cls)
        values = record.__dict__  # the frozen constructor takes twice the time
        extra = values["extra"] = {}
        values["written"] = tuple(found)
        for name, value in found.items():
            kind = kinds.get(name)
            if kind is None:
                extra[name] = value
            elif type(value) in kind.at_once:
                values[name] = value
            else:
                values[name] = _read(kind, value, where + name)
        for name, kind in kinds.items():
            if name not in values:
                values[name] = kind.default()
        return record

    def to_json(self) -> dict[str, Any]:
        """Return the written fields as JSON values, in their order."""
        known, values, extra = _kinds(type(self)), self.__dict__, self.extra
        return {
            name: extra[name]
            if name not in known
            else value
            if type(value := values[name]) in known[name].at_once
            else _plain(value)
            for name in self.written
        }

    def changed(self, **fields: Any) -> Self:
        """Return the record with some fields replaced; new ones are written last."""
        return self.merged(type(self)(**fields))

    def merged(self, other: Self) -> Self:
        """Return the record with all written fields of another record added or replaced."""
        known = _kinds(type(self))
        given = {name: getattr(self, name) for name in self.written if name in known}
        given |= {name: getattr(other, name) for name in other.written if name in known}
        record = type(self)(**given, extra={**self.extra, **other.extra})
        record.__dict__["written"] = tuple(dict.fromkeys((*self.written, *other.written)))
        return record

    def without(self, *names: str) -> Self:
        """Return the record without some fields."""
        found = {name: value for name, value in self.to_json().items() if name not in names}
        return type(self).from_json(found)

    def shared(self) -> Self:
        """Return the record without the fields that an export or an import excludes."""
        found: dict[str, Any] = dict(self.extra) if self.open_to else {}
        for about in dataclasses.fields(self):
            if about.metadata.get("shared") and about.name in self.written:
                value = getattr(self, about.name)
                found[about.name] = _plain(value.shared() if isinstance(value, Record) else value)
        return type(self).from_json({name: found[name] for name in self.written if name in found})

    def deciding(self) -> dict[str, Any]:
        """Return the fields that are not incidental, as JSON values."""
        fields = dataclasses.fields(self)
        incidental = {about.name for about in fields if about.metadata.get("incidental")}
        return {name: value for name, value in self.to_json().items() if name not in incidental}


def names(kind: type[Record], flag: str) -> tuple[str, ...]:
    """Return the names of the fields whose :func:`entry` sets a flag."""
    return tuple(about.name for about in dataclasses.fields(kind) if about.metadata.get(flag))


@dataclass(frozen=True, slots=True)
class _Kind:
    """The values that a field may have.

    Attributes:
        types: Python types of the JSON values.
        at_once: Types whose values need no conversion.
        record: Class of a nested record; None for other fields.
        listed: Whether a JSON list becomes a tuple.
        default: Function that makes the value of an absent field.
    """

    types: Kinds
    at_once: frozenset[type]
    record: type[Record] | None
    listed: bool
    default: Callable[[], Any]


_KINDS: dict[type[Record], Mapping[str, _Kind]] = {}


def _kinds(kind: type[Record]) -> Mapping[str, _Kind]:
    """Return the kind of every declared field of a record class, by the field's name."""
    if kind not in _KINDS:
        hints = get_type_hints(kind)
        declared = [about for about in dataclasses.fields(kind) if about.metadata]
        _KINDS[kind] = {about.name: _kind(hints[about.name], about) for about in declared}
    return _KINDS[kind]


def _kind(hint: Any, declared: dataclasses.Field[Any]) -> _Kind:
    arms = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    plain: list[type] = [get_origin(arm) or arm for arm in arms]
    found = [kind for arm in plain for kind in _IN_JSON.get(arm, (arm,))]
    record = next((arm for arm in plain if issubclass(arm, Record)), None)
    at_once = frozenset(found) - {tuple, list, record}
    default: Any = declared.default_factory
    if default is dataclasses.MISSING:
        default = partial(_same, declared.default)
    return _Kind(tuple(found), at_once, record, tuple in plain, default)


def _same(value: Any) -> Any:
    return value


_IN_JSON: Mapping[type, Kinds] = {
    abc.Mapping: (dict,),
    tuple: (list, tuple),
    float: (int, float),
}


def _read(kind: _Kind, value: Any, where: str) -> Any:
    """Return the typed value of a field from its JSON value."""
    if kind.record is not None and isinstance(value, dict):
        return kind.record.from_json(value, f"{where}.")
    allowed = isinstance(value, kind.types)
    if not allowed or (type(value) is bool and bool not in kind.types):
        raise BenchError(f"the manifest's {where} is {type(value).__name__}.")
    return tuple(value) if kind.listed and value is not None else value


def _plain(value: Any) -> Any:
    """Return the JSON value of a field."""
    if isinstance(value, Record):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value
