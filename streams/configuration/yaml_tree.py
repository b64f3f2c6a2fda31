"""YAML text to a tree of nodes that know their lines. Reads the core schema of YAML 1.2.

YAML 1.1 reads ``no`` as false, ``12:30`` as 750 and ``1e6`` as text; people who write a configuration mean none
of these. Times stay text here: the type that a setting has decides what they are.
"""

from __future__ import annotations

import math
import re
from typing import ClassVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

__all__ = ["MappingNode", "Node", "ScalarNode", "SequenceNode", "YamlError", "found", "line_of", "parse", "plain"]

_TAG = "tag:yaml.org,2002:"
_LONGEST_NUMBER = 400
_LONGEST_SHOWN = 60


class YamlError(ValueError):
    """The text is no YAML.

    Parameters
    ----------
    line
        Where it stands, from 1.
    problem
        What is wrong, in words.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


class _CoreLoader(yaml.SafeLoader):
    """Composes nodes with the tags of YAML 1.2's core schema."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}  # type: ignore[misc]


for _name, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9][0-9_]*$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def parse(text: bytes) -> Node | None:
    r"""Compose the one document of a text; None if there is nothing in it.

    Raises
    ------
    YamlError
        If it is no UTF-8, no YAML, or more than one document.

    Examples
    --------
    >>> line_of(parse(b"# first\nshards: 4"))
    2
    """
    try:
        loader = _CoreLoader(text.decode())
        try:
            node: Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise YamlError(text.count(b"\n", 0, error.start) + 1, "is not UTF-8: save it as UTF-8") from error
    except yaml.reader.ReaderError as error:
        before = text.decode()[: error.position]
        raise YamlError(before.count("\n") + 1, f"has the control character {error.character!r}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, _in_words(error)) from error
    except RecursionError as error:
        raise YamlError(1, "nests too deeply") from error
    return node


def line_of(node: Node | None) -> int:
    """Line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1 if node is not None and node.start_mark else 1


def plain(node: ScalarNode) -> str | int | float | bool | None:
    """Return the value of a scalar; numbers that no machine can hold stay text.

    Examples
    --------
    >>> plain(parse(b"1_000")), plain(parse(b"no")), plain(parse(b"1e3")), plain(parse(b"1e999"))
    (1000, 'no', 1000.0, '1e999')
    """
    text = str(node.value)
    kind = str(node.tag).removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and len(text) < _LONGEST_NUMBER:
        return int(text.replace("_", ""))
    if kind == "float" and math.isfinite(number := float(text.replace("_", ""))):
        return number
    return text


def found(node: Node) -> str:
    """Return what stands there, in words.

    Examples
    --------
    >>> found(parse(b"'4'")), found(parse(b"4")), found(parse(b"[4]")), found(parse(b"a:").value[0][1])
    ("the text '4'", '4', 'a list', 'nothing')
    """
    if not isinstance(node, ScalarNode):
        return "a list" if isinstance(node, SequenceNode) else "a mapping"
    value = plain(node)
    if value is None:
        return "nothing"
    shown = node.value if len(node.value) <= _LONGEST_SHOWN else node.value[:_LONGEST_SHOWN] + "…"
    return f"the text {shown!r}" if isinstance(value, str) else str(shown)


def _in_words(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if "'\\t'" in problem:
        return "is indented with a tab: use spaces"
    context = f" {error.context}" if error.context else ""
    return f"is no YAML:{context} {problem}".replace(":  ", ": ")
