"""Plain values of JSON, read by compiled code: each reader returns a value, the place after it, or both.

All take bytes and where the value begins; a zero byte, which no value holds, ends every message. :data:`NOT_PLAIN` as
the place says that somebody else must read it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled, inlined

NOT_PLAIN = -1
_ONE = np.uint64(1)

_QUOTE, _BACKSLASH, _ZERO, _NINE, _DOT, _PLUS, _MINUS, _COLON = b'"\\09.+-:'
_BIG_T, _BIG_Z, _SMALL_E, _BIG_E = b"TZeE"
_FIRST_PRINTED, _LAST_PRINTED = 0x20, 0x7E
_GOES_ON = np.array([_FIRST_PRINTED <= byte <= _LAST_PRINTED and byte not in b'"\\' for byte in range(256)])
"""By byte: whether a plain text goes on with it."""
_LITERALS = np.array([list(word.ljust(5)) for word in (b"true", b"false", b"null")], np.uint8)
_LITERAL_SIZES = (4, 5, 4)

_MOST_DIGITS = 16
_EXACT_BELOW = 10**15
"""Whole numbers below it, and powers of ten up to the 22nd, are exact as floats; so is their quotient rounded once."""
_LARGEST_POWER = 22
_POWERS = np.array([float(10**power) for power in range(_LARGEST_POWER + 1)])

_DAYS_BEFORE = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_DAYS_IN = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_FIRST_YEAR, _LAST_YEAR = 1970, 6000
_FEBRUARY = 2
_LATEST = (23, 59, 59)
_SHORTEST_STAMP = len("2026-10-01T00:00:00Z")
_SECONDS_END, _ZONE_SIZE, _MOST_FRACTION = len("2026-10-01T00:00:00"), len("+01:00"), 9


@inlined
def text_end(data: NDArray[np.uint8], at: int) -> int:
    """Return where the quote stands that ends a text of printed ASCII without escapes."""
    place = np.uint64(at)  # of an index without a sign the compiler need not ask whether it counts from the end
    while _GOES_ON[data[place]]:
        place += _ONE
    return int(np.int64(place)) if data[place] == _QUOTE else NOT_PLAIN


@inlined
def is_digit(letter: int) -> bool:
    """Whether a byte is a digit."""
    return _ZERO <= letter <= _NINE


@inlined
def count_at(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Read a whole number of at most 16 digits."""
    start, value = at, 0
    while is_digit(data[at]) and at - start <= _MOST_DIGITS:
        value = value * 10 + int(data[at]) - _ZERO
        at += 1
    has_leading_zero = at > start + 1 and data[start] == _ZERO
    goes_on = data[at] == _DOT or data[at] == _SMALL_E or data[at] == _BIG_E
    if at == start or at - start > _MOST_DIGITS or has_leading_zero or goes_on:
        return value, NOT_PLAIN
    return value, at


@compiled
def real_at(data: NDArray[np.uint8], at: int) -> tuple[float, int, bool]:
    """Read a number that is not negative; the flag says whether the value is exactly what the digits round to.

    Where it is not, the value is near enough to be held against a limit (Clinger 1990, the fast case).
    """
    start, digits, power, is_exact = at, 0, 0, True
    while is_digit(data[at]) and at - start < _MOST_DIGITS:
        digits = digits * 10 + int(data[at]) - _ZERO
        at += 1
    if at == start or (at > start + 1 and data[start] == _ZERO) or is_digit(data[at]):
        return 0.0, NOT_PLAIN, False
    if data[at] == _DOT:
        point = at
        at += 1
        while is_digit(data[at]):
            if digits < _EXACT_BELOW:
                digits = digits * 10 + int(data[at]) - _ZERO
                power -= 1
            else:
                is_exact = False
            at += 1
        if at == point + 1:
            return 0.0, NOT_PLAIN, False
    if data[at] == _SMALL_E or data[at] == _BIG_E:
        raised, at = _power_at(data, at + 1)
        power += raised
    if at == NOT_PLAIN or power > _LARGEST_POWER or power < -_LARGEST_POWER:
        return 0.0, NOT_PLAIN, False
    value = digits * _POWERS[power] if power > 0 else digits / _POWERS[-power]
    return value, at, is_exact and digits < _EXACT_BELOW


@compiled
def _power_at(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Read the power of ten behind an e."""
    is_negative = data[at] == _MINUS
    if data[at] == _MINUS or data[at] == _PLUS:
        at += 1
    start, power = at, 0
    while is_digit(data[at]) and power <= _LARGEST_POWER:
        power = power * 10 + int(data[at]) - _ZERO
        at += 1
    if at == start or is_digit(data[at]):
        return 0, NOT_PLAIN
    return (-power if is_negative else power), at


@compiled
def literal_end(data: NDArray[np.uint8], at: int) -> int:
    """Return the place after a text, a number, true, false or null."""
    if data[at] == _QUOTE:
        stop = text_end(data, at + 1)
        return stop if stop == NOT_PLAIN else stop + 1
    if is_digit(data[at]):
        return real_at(data, at)[1]
    for word in range(len(_LITERAL_SIZES)):
        size, place = _LITERAL_SIZES[word], 0
        while place < size and data[at + place] == _LITERALS[word, place]:
            place += 1
        if place == size:
            return at + size
    return NOT_PLAIN


@compiled
def _two_digits(data: NDArray[np.uint8], at: int) -> int:
    """Read two digits; below zero where there are none."""
    tens, ones = int(data[at]) - _ZERO, int(data[at + 1]) - _ZERO
    is_number = 0 <= tens <= 9 and 0 <= ones <= 9
    return tens * 10 + ones if is_number else -100_000


@compiled
def minute_at(data: NDArray[np.uint8], start: int, stop: int) -> int:
    """Read the minute since the epoch of a stamp such as 2026-10-01T00:00:00.123+02:00."""
    if stop - start < _SHORTEST_STAMP or not _is_punctuated(data, start):
        return NOT_PLAIN
    year = 100 * _two_digits(data, start) + _two_digits(data, start + 2)
    month, day = _two_digits(data, start + 5), _two_digits(data, start + 8)
    if not (_FIRST_YEAR <= year <= _LAST_YEAR and 1 <= month <= len(_DAYS_IN) - 1):
        return NOT_PLAIN
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS_IN[month] + (1 if is_leap and month == _FEBRUARY else 0):
        return NOT_PLAIN
    before = year - 1
    days = 365 * (year - _FIRST_YEAR) + (before // 4 - before // 100 + before // 400) - _LEAP_DAYS_BEFORE
    days += _DAYS_BEFORE[month] + day - 1 + (1 if is_leap and month > _FEBRUARY else 0)
    hour, minute, second = _two_digits(data, start + 11), _two_digits(data, start + 14), _two_digits(data, start + 17)
    is_time = 0 <= hour <= _LATEST[0] and 0 <= minute <= _LATEST[1] and 0 <= second <= _LATEST[2]
    ahead = _zone_at(data, _fraction_end(data, start + _SECONDS_END), stop)
    if not is_time or ahead == _NO_ZONE:
        return NOT_PLAIN
    since = int(days * 1440 + hour * 60 + minute - ahead)
    return since if since >= 0 else NOT_PLAIN


_LEAP_DAYS_BEFORE = 1969 // 4 - 1969 // 100 + 1969 // 400
_NO_ZONE = 10_000


@compiled
def _is_punctuated(data: NDArray[np.uint8], start: int) -> bool:
    is_date = data[start + 4] == _MINUS and data[start + 7] == _MINUS and data[start + 10] == _BIG_T
    return bool(is_date and data[start + 13] == _COLON and data[start + 16] == _COLON)


@compiled
def _fraction_end(data: NDArray[np.uint8], at: int) -> int:
    """Return the place after a fraction of a second, if there is one."""
    if data[at] != _DOT:
        return at
    start = at + 1
    at = start
    while is_digit(data[at]):
        at += 1
    return at if 1 <= at - start <= _MOST_FRACTION else NOT_PLAIN


@compiled
def _zone_at(data: NDArray[np.uint8], at: int, stop: int) -> int:
    """Read by how many minutes a zone is ahead of UTC."""
    if at == NOT_PLAIN or at >= stop:
        return _NO_ZONE
    if data[at] == _BIG_Z:
        return 0 if at + 1 == stop else _NO_ZONE
    if stop - at != _ZONE_SIZE or data[at + 3] != _COLON or (data[at] != _PLUS and data[at] != _MINUS):
        return _NO_ZONE
    hours, minutes = _two_digits(data, at + 1), _two_digits(data, at + 4)
    if not (0 <= hours <= _LATEST[0] and 0 <= minutes <= _LATEST[1]):
        return _NO_ZONE
    ahead = hours * 60 + minutes
    return ahead if data[at] == _PLUS else -ahead
