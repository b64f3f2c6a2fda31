"""State and columns as bytes: MessagePack with NumPy arrays inside.

One codec for everything that crosses a process border, so that a state decoded is the state that was
encoded, to the bit.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_ARRAY = 1


class _Array(msgspec.Struct, array_like=True, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def _to_wire(value: object) -> msgspec.msgpack.Ext:
    if isinstance(value, np.ndarray):
        packed = _Array(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(packed))
    raise TypeError(f"a {type(value).__name__} cannot be part of a state")


def _from_wire(code: int, data: memoryview) -> object:
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}: written by another version?")
    packed = msgspec.msgpack.decode(data, type=_Array)
    return np.frombuffer(packed.data, np.dtype(packed.dtype)).reshape(packed.shape).copy()


def narrowed(numbers: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    """Return whole numbers in as few bytes each as hold all of them: less to pack, to send and to unpack.

    Examples
    --------
    >>> narrowed(np.array([-3, 130])).dtype, narrowed(np.array([], np.int64)).dtype
    (dtype('int16'), dtype('int8'))
    """
    least, most = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    return numbers.astype(np.promote_types(np.min_scalar_type(min(least, -most - 1, -1)), np.int8))


def encode(value: object) -> bytes:
    """Bytes of a struct, list, dict or array, nested as one likes.

    Examples
    --------
    >>> decode(encode({"sums": np.arange(3)}), dict[str, np.ndarray])["sums"].tolist()
    [0, 1, 2]
    """
    return msgspec.msgpack.encode(value, enc_hook=_to_wire)


def decode(data: bytes, kind: type[T]) -> T:
    """Return the value of a type that :func:`encode` wrote.

    Raises
    ------
    msgspec.ValidationError
        If the bytes hold something else.
    """

    def convert(wanted: type, value: object) -> Any:  # noqa: ANN401 — msgspec asks for it
        if isinstance(value, np.ndarray) and (
            wanted is np.ndarray or getattr(wanted, "__origin__", None) is np.ndarray
        ):
            return value
        raise TypeError(f"expected a {wanted}, found a {type(value).__name__}")

    return msgspec.msgpack.decode(data, type=kind, ext_hook=_from_wire, dec_hook=convert)
