"""Plain messages are scanned, all others decoded: nobody can tell by the answer which was done."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.compiled import is_compiled
from detectors.events import UsageEvent
from detectors.intake.columns import UsageColumns
from detectors.intake.decode import Mistake
from detectors.intake.raw import RawBatch, RawMessage
from detectors.intake.scan import scan
from detectors.intake.usage_reader import UsageReader

PLAIN: dict[str, object] = {
    "id": "a-1", "time": "2026-10-01T00:07:59Z", "source": "gateway", "team": "search", "service": "bot",
    "environment": "production", "initiative": "", "principal": "key-1", "provider": "openai", "model": "gpt-5",
    "requests": 12, "errors": 1, "input_tokens": 24_000, "cached_input_tokens": 4_000, "cache_write_tokens": 0,
    "output_tokens": 2_400, "reasoning_tokens": 100, "gpu_seconds": 0.25, "cost_usd": 0.123456,
}  # fmt: skip

FIELDS = [field.name for field in msgspec.structs.fields(UsageEvent)]
STAMPS = [
    "2026-10-01T00:00:00Z", "2024-02-29T23:59:59.999+05:30", "2023-02-29T00:00:00Z", "1969-12-31T23:59:00Z",
    "2026-10-01T00:00:00-00:01", "2026-10-01 00:00:00Z", "2026-10-01T00:00:00", "2026-10-01T24:00:00Z", "20261001T00Z",
    "2026-13-01T00:00:00Z", "2026-10-01T00:00:60Z", "2026-10-01T00:00:00.Z",
    "9999-12-31T23:59:59Z", "2100-02-28T12:00:00Z",
    "2026-10-01T00:00:00.1234567891234Z", "2026-10-01T00:00:00+24:00", "1970-01-01T00:00:00+00:01", "yesterday",
]  # fmt: skip

texts = st.one_of(st.sampled_from(["", "bot", "a b/c:d", "é", "x" * 256, "x" * 257, 'q"', "b\\"]), st.text(max_size=8))
numbers = st.one_of(
    st.integers(-2, 10**6), st.sampled_from([10**15, 10**15 + 1, 10**16, 2**63, 10**20]), st.floats(0, 1e9),
    st.floats(allow_nan=True), st.sampled_from([1e8, 100000000.00000001, 1e-300, 5e-7, 0.1 + 0.2, 1e22, 1e9, 1.5e23]),
)  # fmt: skip
others = st.one_of(
    st.none(), st.booleans(), st.lists(st.integers(), max_size=1), st.dictionaries(texts, numbers, max_size=1)
)
values = st.one_of(texts, numbers, others)
wild: st.SearchStrategy[dict[str, object]] = st.dictionaries(
    st.one_of(st.sampled_from(FIELDS), texts), values, max_size=4
)
stamped: st.SearchStrategy[dict[str, object]] = st.sampled_from(STAMPS).map(lambda stamp: {"time": stamp})
events: st.SearchStrategy[dict[str, object]] = st.one_of(st.just({}), wild, stamped).map(lambda change: PLAIN | change)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n ")])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """An event or an array of them, perhaps with a few bytes taken out or put in."""
    given_events = draw(st.lists(events, min_size=1, max_size=3))
    body = given_events if draw(st.booleans()) else given_events[0]
    text = json.dumps(body, separators=draw(spacing), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.booleans()):
        start, size = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
        text = (
            text[:start]
            + draw(st.sampled_from([b"", b"0", b'"', b"}", b"]", b",", b"\x00", b" ", b"{", b"1e5"]))
            + text[start + size :]
        )
    return draw(st.sampled_from([b"", b" ", b"\n\t"])) + text + draw(st.sampled_from([b"", b"\r\n", b"x"]))


def rows_of(columns: UsageColumns) -> list[tuple[object, ...]]:
    """What the columns say, event by event; floats by their bits."""
    paid = columns.paid_usd.view(np.int64).tolist()
    labels = columns.labels.keys()
    keys = [labels[key] for key in columns.key.tolist()]
    plain = (column.tolist() for column in (columns.message, columns.item, columns.minute, columns.identity))
    return list(zip(*plain, columns.values.T.tolist(), paid, keys, strict=True))


def batch(payloads: list[bytes]) -> RawBatch:
    return RawBatch.of([RawMessage("usage", 0, number, payload) for number, payload in enumerate(payloads)])


def read(payloads: list[bytes], *, scans: bool) -> tuple[list[tuple[object, ...]], list[tuple[int, Mistake]]]:
    columns, mistakes = UsageReader(scans=scans).read(batch(payloads))
    return rows_of(columns), mistakes


def test_machine_code_reads_what_is_plain() -> None:
    """Otherwise the law below compares the decoder with itself."""
    assert is_compiled(scan)
    columns, mistakes = UsageReader(scans=True).read(batch([json.dumps(PLAIN).encode()]))
    assert (columns.minute.tolist(), columns.labels.keys()[0][1], mistakes) == ([29_846_887], "bot", [])


@example([b"[]", b"{}", b"", b"[", b'{"id":"a', json.dumps(PLAIN).encode(), b'","time":"'])
@example([json.dumps({**PLAIN, "cost_usd": None}).encode(), json.dumps({**PLAIN, "unknown": [1]}).encode()])
@example([json.dumps(PLAIN).encode()[:-1] + b',"requests":1}', json.dumps({**PLAIN, "region": "eu"}).encode()])
@given(st.lists(messages(), min_size=1, max_size=4))
def test_scanned_or_decoded_the_answer_is_the_same_to_the_bit(payloads: list[bytes]) -> None:
    assert read(payloads, scans=True) == read(payloads, scans=False)


@pytest.mark.parametrize("stamp", STAMPS)
def test_every_way_to_write_a_time_is_read_alike(stamp: str) -> None:
    payload = json.dumps({**PLAIN, "time": stamp}).encode()
    assert read([payload], scans=True) == read([payload], scans=False)


@given(st.floats(0, 1e8))
def test_dollars_are_read_to_the_nearest_float(cost_usd: float) -> None:
    payload = json.dumps({**PLAIN, "cost_usd": cost_usd}).encode()
    columns, _ = UsageReader(scans=True).read(batch([payload]))
    assert columns.paid_usd.tolist() == [cost_usd]
