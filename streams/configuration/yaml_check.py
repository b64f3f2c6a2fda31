"""A YAML tree against msgspec types: every mistake at once, each with its line, its path and the nearest known key.

msgspec stops at the first mistake and knows no lines; it is still the judge of every single value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import inspect

from streams.configuration.mistakes import Mistake, nearest_word
from streams.configuration.type_words import LISTS, MAPPINGS, annotation_of, describe
from streams.configuration.yaml_tree import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    YamlError,
    found,
    line_of,
    parse,
    plain,
)

Registry = Mapping[type, tuple[str, Mapping[str, type]]]
"""For a base type, the key whose value names the subtype to decode into, and the subtypes by that name."""


_OF_VARIABLES = "_env"
"""How settings end that hold the name of an environment variable; people paste the secret itself there."""

T = TypeVar("T")
_NOTHING = MappingNode("tag:yaml.org,2002:map", [])


class _Bad:
    """Stands for a value that has a mistake in it."""


_BAD = _Bad()


class Checker:
    """Reads one file, and keeps the line of each path and all mistakes.

    Parameters
    ----------
    file
        Its name, as it is to be printed.
    registry
        Types of which a key names the subtype.
    """

    def __init__(self, file: str, registry: Registry | None = None) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []
        self._registry = registry or {}
        self._lines: dict[str, int] = {"": 1}
        self._values: dict[str, object] = {}
        self._names: dict[str, list[str]] = {}
        self._sections_of: dict[str, list[str]] = {}

    def read(self, text: bytes, kind: type[T]) -> T | None:
        """Decode a text into a struct; None if that cannot be, and then :attr:`mistakes` says why."""
        try:
            root = parse(text)
        except YamlError as error:
            self.add("", str(error), line=error.line)
            return None
        if root is None or _is_null(root):
            root = _NOTHING
        info = inspect.type_info(kind)
        self._sections_of = _sections_of(info)
        value = self._value(root, info, "")
        return value if isinstance(value, kind) else None

    def add(
        self,
        path: str,
        message: str,
        *,
        line: int | None = None,
        expected: str = "",
        found: str = "",
        nearest: str = "",
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        """Note a mistake at a path; its line is found by the path unless it is given."""
        self.mistakes.append(
            Mistake(
                file=self.file,
                line=self.line(path) if line is None else line,
                path=path,
                message=message,
                expected=expected,
                found=found,
                nearest=nearest,
                severity=severity,
            )
        )

    def line(self, path: str) -> int:
        """Line of a path, or of what it would stand in."""
        while path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._lines[path]

    def get(self, path: str) -> Any:  # noqa: ANN401 — it is whatever the type at that path says
        """Return the value at a path, also where its neighbours have mistakes; None if it is not there or is bad."""
        return self._values.get(path)

    def has(self, path: str) -> bool:
        """Whether anything, good or bad, stands at a path."""
        return path in self._lines

    def is_bad(self, path: str) -> bool:
        """Whether something stands at a path and has a mistake in it."""
        return self.has(path) and path not in self._values

    def names(self, path: str) -> list[str]:
        """Keys of a mapping, also those whose values have mistakes."""
        return self._names.get(path, [])

    def entries(self, path: str) -> Iterator[str]:
        """Paths of the entries of a list, bad ones too."""
        n = 0
        while self.has(entry := f"{path}[{n}]"):
            yield entry
            n += 1

    def _value(self, node: Node, info: inspect.Type, path: str) -> object:
        self._lines[path] = line_of(node)
        value = self._of_type(node, info, path)
        if not isinstance(value, _Bad):
            self._values[path] = value
        return value

    def _of_type(self, node: Node, info: inspect.Type, path: str) -> object:
        match info:
            case inspect.UnionType():
                return self._union(node, info, path)
            case inspect.StructType():
                return self._struct(node, info, path)
            case inspect.DictType():
                return self._dict(node, info, path)
            case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
                return self._list(node, info, path)
            case _:
                return self._scalar(node, info, path)

    def _union(self, node: Node, info: inspect.UnionType, path: str) -> object:
        if _is_null(node) and info.includes_none:
            return None
        structs = [t for t in info.types if isinstance(t, inspect.StructType)]
        if isinstance(node, MappingNode) and len(structs) > 1:
            return self._tagged(node, structs, path)
        wanted = MAPPINGS if isinstance(node, MappingNode) else LISTS if isinstance(node, SequenceNode) else ()
        fitting = [t for t in info.types if isinstance(t, wanted)]
        rest = [t for t in info.types if not isinstance(t, inspect.NoneType)]
        if len(fitting) == 1 or len(rest) == 1:
            return self._value(node, (fitting or rest)[0], path)
        return self._scalar(node, info, path)

    def _tagged(self, node: MappingNode, options: list[inspect.StructType], path: str) -> object:
        kinds = {str(option.tag): option for option in options}
        key = str(options[0].tag_field)
        chosen = self._chosen(node, key, kinds, path)
        return _BAD if chosen is None else self._fields(node, kinds[chosen], path, also=key)

    def _struct(self, node: Node, info: inspect.StructType, path: str) -> object:
        if not isinstance(node, MappingNode):
            return self._unfit(node, info, path)
        if info.cls not in self._registry:
            return self._fields(node, info, path, also=info.tag_field or "")
        key, kinds = self._registry[info.cls]
        chosen = self._chosen(node, key, kinds, path)
        if chosen is None:
            return _BAD
        subtype = inspect.type_info(kinds[chosen])
        assert isinstance(subtype, inspect.StructType)  # noqa: S101 — the registry holds structs
        return self._fields(node, subtype, path, also=key)

    def _chosen(self, node: MappingNode, key: str, kinds: Mapping[str, Any], path: str) -> str | None:
        """Which of some kinds a mapping names by a key."""
        expected = "one of " + ", ".join(kinds)
        for name, value in node.value:
            if _word(name) == key:
                word = _word(value)
                self._lines[_below(path, key)] = line_of(value)
                if word in kinds:
                    self._values[_below(path, key)] = word
                    return word
                self._say(_below(path, key), expected, found(value), nearest_word(word, kinds))
                return None
        names = [_word(name) for name, _ in node.value]
        meant = nearest_word(key, names)
        hint = f"; is {meant} meant?" if meant else ""
        self.add(path, f"missing key {key}: expected {expected}{hint}", expected=expected, found=meant, nearest=key)
        return None

    def _fields(self, node: MappingNode, info: inspect.StructType, path: str, also: str = "") -> object:
        """Build a struct of a mapping; ``also`` is a key that is allowed and read elsewhere."""
        fields = {field.encode_name: field for field in info.fields}
        values: dict[str, Any] = {}
        given = self._keys(node, path)
        for name, (key_node, value_node) in given.items():
            below = _below(path, name)
            field = fields.get(name)
            if field is None:
                if name != also:
                    self._unknown_key(key_node, name, [*([also] if also else []), *fields], path)
                    values[name] = _BAD
            elif not (_is_null(value_node) and not field.required and isinstance(field.type, MAPPINGS + LISTS)):
                values[field.name] = self._value(value_node, field.type, below)
        for name, field in fields.items():
            if field.required and name not in given:
                self.add(path, f"missing key {name}: expected {describe(field.type)}",
                         line=line_of(node), expected=describe(field.type), found="no such key")  # fmt: skip
                values[name] = _BAD
        if any(isinstance(value, _Bad) for value in values.values()):
            return _BAD
        try:
            return info.cls(**values)
        except (TypeError, ValueError) as error:
            self.add(path, str(error), line=line_of(node))
            return _BAD

    def _keys(self, node: MappingNode, path: str) -> dict[str, tuple[Node, Node]]:
        """Keys of a mapping; a key given twice is a mistake."""
        given: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            name = _word(key)
            if name in given:
                first = line_of(given[name][0])
                self.add(_below(path, name), f"key given twice, first on line {first}: keep one", line=line_of(key))
                continue
            given[name] = (key, value)
        self._names[path] = list(given)
        return given

    def _unknown_key(self, node: Node, name: str, known: list[str], path: str) -> None:
        nearest = nearest_word(name, known)
        hint = f", did you mean {nearest}?" if nearest else "."
        elsewhere = [section for section in self._sections_of.get(name, []) if section != f"in {path}"]
        if elsewhere:
            hint = f", it belongs {' or '.join(elsewhere)}."
        self.add(
            _below(path, name),
            f"unknown key{hint} Known here: {', '.join(known)}",
            line=line_of(node),
            expected="one of " + ", ".join(known),
            found=name,
            nearest=nearest,
        )

    def _dict(self, node: Node, info: inspect.DictType, path: str) -> object:
        if not isinstance(node, MappingNode):
            return self._unfit(node, info, path)
        values: dict[Any, Any] = {}
        bad = False
        for name, (key_node, value_node) in self._keys(node, path).items():
            if isinstance(info.key_type, inspect.LiteralType) and name not in info.key_type.values:
                self._unknown_key(key_node, name, [str(v) for v in info.key_type.values], path)
                bad = True
                continue
            value = self._value(value_node, info.value_type, _below(path, name))
            bad = bad or isinstance(value, _Bad)
            values[name] = value
        return _BAD if bad else values

    def _list(
        self,
        node: Node,
        info: inspect.ListType | inspect.VarTupleType | inspect.SetType | inspect.FrozenSetType,
        path: str,
    ) -> object:
        if not isinstance(node, SequenceNode):
            return self._unfit(node, info, path)
        items = [self._value(item, info.item_type, f"{path}[{n}]") for n, item in enumerate(node.value)]
        if any(isinstance(item, _Bad) for item in items):
            return _BAD
        least, most = info.min_length or 0, info.max_length
        if len(items) < least or (most is not None and len(items) > most):
            self._say(path, describe(info), f"{len(items)} entries")
            return _BAD
        made = {inspect.ListType: list, inspect.VarTupleType: tuple, inspect.SetType: set}
        return made.get(type(info), frozenset)(items)

    def _scalar(self, node: Node, info: inspect.Type, path: str) -> object:
        if not isinstance(node, ScalarNode) or (isinstance(info, inspect.UnionType) and _has_no_scalar(info)):
            return self._unfit(node, info, path)
        try:
            return msgspec.convert(plain(node), annotation_of(info))
        except msgspec.ValidationError:
            return self._unfit(node, info, path)

    def _unfit(self, node: Node, info: inspect.Type, path: str) -> _Bad:
        """Say that a value is none of its type."""
        options = [str(v) for v in info.values] if isinstance(info, inspect.LiteralType) else []
        cure = ""
        if isinstance(info, inspect.StrType) and isinstance(node, ScalarNode) and not isinstance(plain(node), str):
            cure = "" if _is_null(node) else ": put it in quotes"
        if path.endswith(_OF_VARIABLES):
            self._say(
                path, "the name of an environment variable", "what is not shown, since it may be the secret itself"
            )
        else:
            self._say(path, describe(info), found(node), nearest_word(_word(node), options), cure)
        return _BAD

    def _say(self, path: str, expected: str, what: str, nearest: str = "", cure: str = "") -> None:
        hint = f"; did you mean {nearest}?" if nearest else ""
        self.add(path, f"expected {expected}, found {what}{hint}{cure}", expected=expected, found=what, nearest=nearest)


def _sections_of(info: inspect.Type, path: str = "") -> dict[str, list[str]]:
    """Return for each key the sections that know it; sections within lists are left out."""
    sections: dict[str, list[str]] = {}
    if isinstance(info, inspect.StructType):
        for field in info.fields:
            sections.setdefault(field.encode_name, []).append(f"in {path}" if path else "at the top level")
            for key, found_in in _sections_of(field.type, _below(path, field.encode_name)).items():
                sections.setdefault(key, []).extend(found_in)
    return sections


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _has_no_scalar(info: inspect.UnionType) -> bool:
    return all(isinstance(option, MAPPINGS + LISTS) for option in info.types)


def _word(node: Node) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else ""


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and plain(node) is None
