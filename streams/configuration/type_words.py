"""What a msgspec type takes, in words for people."""

from __future__ import annotations

from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Annotated, Literal

import msgspec
from msgspec import inspect

LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
MAPPINGS = (inspect.StructType, inspect.DictType)

_PLAIN = {
    inspect.BoolType: "true or false",
    inspect.DateTimeType: "a time with its zone such as 2026-10-01T00:00:00Z",
    inspect.DateType: "a date such as 2026-10-01",
    inspect.NoneType: "nothing",
    inspect.StructType: "a mapping",
    inspect.DictType: "a mapping",
}

_SIMPLE: dict[type[inspect.Type], object] = {
    inspect.BoolType: bool,
    inspect.DateType: date,
    inspect.DateTimeType: Annotated[datetime, msgspec.Meta(tz=True)],
    inspect.NoneType: None,
}


def describe(info: inspect.Type) -> str:
    """Return what a type takes.

    Examples
    --------
    >>> from msgspec import Meta
    >>> describe(inspect.type_info(Annotated[int, Meta(ge=1, le=9)] | None))
    'a whole number from 1 to 9 or nothing'
    >>> describe(inspect.type_info(tuple[Literal["b", "a"], ...]))
    'a list, each entry one of a, b'
    """
    match info:
        case inspect.UnionType():
            return " or ".join(dict.fromkeys(describe(option) for option in info.types))
        case inspect.IntType() | inspect.FloatType():
            return ("a whole number" if isinstance(info, inspect.IntType) else "a number") + _bounds(info)
        case inspect.StrType():
            pattern = f" that matches {info.pattern}" if info.pattern else ""
            return "text" + _size(info.min_length, info.max_length, "characters") + pattern
        case inspect.LiteralType():
            return "one of " + ", ".join(str(value) for value in info.values)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            size = _size(info.min_length, info.max_length, "entries")
            return f"a list{size}, each entry {describe(info.item_type)}"
    return _PLAIN.get(type(info), type(info).__name__.removesuffix("Type").lower())


def annotation_of(info: inspect.Type) -> object:
    """Return the type of a single value again, for msgspec to judge by.

    Raises
    ------
    TypeError
        If a setting has a type that no YAML scalar stands for.
    """
    match info:
        case inspect.UnionType():
            options = tuple(annotation_of(o) for o in info.types if not isinstance(o, MAPPINGS + LISTS))
            return reduce(or_, options)
        case inspect.IntType():
            return Annotated[int, _meta(info, "gt", "ge", "lt", "le", "multiple_of")]
        case inspect.FloatType():
            return Annotated[float, _meta(info, "gt", "ge", "lt", "le", "multiple_of")]
        case inspect.StrType():
            return Annotated[str, _meta(info, "min_length", "max_length", "pattern")]
        case inspect.LiteralType():
            return Literal[info.values]
    if type(info) not in _SIMPLE:
        raise TypeError(f"a setting cannot have the type {info}")
    return _SIMPLE[type(info)]


def _meta(info: inspect.Type, *names: str) -> msgspec.Meta:
    return msgspec.Meta(**{name: value for name in names if (value := getattr(info, name)) is not None})


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    """Return the limits of a number, as words behind it.

    Examples
    --------
    >>> from msgspec import Meta
    >>> describe(inspect.type_info(Annotated[float, Meta(gt=0)]))
    'a number above 0'
    """
    if info.ge is not None and info.le is not None:
        return f" from {_figure(info.ge)} to {_figure(info.le)}"
    words = (("above", info.gt), ("of at least", info.ge), ("below", info.lt), ("of at most", info.le))
    given = " and ".join(f"{word} {_figure(limit)}" for word, limit in words if limit is not None)
    return f" {given}" if given else ""


def _figure(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


def _size(least: int | None, most: int | None, unit: str) -> str:
    if least and most is not None:
        return f" of {least} to {most} {unit}"
    if least:
        return f" of at least {least} {unit}" if least > 1 else f" of one or more {unit}"
    return f" of at most {most} {unit}" if most is not None else ""
