"""What each kind of detector saw, in plain words: what changed, from what to what, against what is usual."""

from __future__ import annotations

from collections.abc import Callable

from detectors.judging.judge import Candidate

_WHAT = {
    "input_per_request": "input tokens a request",
    "output_per_request": "output tokens a request",
    "cache_share": "dollars a million input tokens as cached",
    "model_mix": "the list price of a million input tokens",
    "unit_price": "the price paid over list",
}


def change_in_words(found: Candidate, newest_model: str) -> str:
    """Return what changed, as the first half of a sentence.

    Parameters
    ----------
    found
        What the detector saw.
    newest_model
        The model that the service has used for the shortest time; empty where none is known.
    """
    speak = _BY_KIND.get(found.kind)
    if speak is not None:
        return speak(found, newest_model)
    if found.driver in _WHAT and 0 < found.before < found.after:
        return _rise(found)
    return _volume(found, newest_model)


def _rise(found: Candidate) -> str:
    digits = 0 if found.after >= 100 else 2
    before, after = f"{found.before:,.{digits}f}", f"{found.after:,.{digits}f}"
    return f"{_WHAT[found.driver]} rose from {before} to {after} (x{found.after / found.before:.1f})"


def _volume(found: Candidate, newest_model: str) -> str:
    number = found.numbers.get
    highest = number("highest_usd_per_hour")
    most = f", the week's highest {highest:,.2f}" if highest is not None else ""
    requests, usual = number("requests_per_hour", 0.0), number("usual_requests_per_hour", 0.0)
    count = f", with {requests:,.0f} requests an hour against {usual:,.0f}" if requests >= 1 else ""
    usd, usual_usd = number("usd_per_hour", found.observed_usd_per_hour), number("usual_usd_per_hour", 0.0)
    return f"spend rose to {usd:,.2f} USD an hour (usual {usual_usd:,.2f}{most}){count}"


def _share(found: Candidate, newest_model: str) -> str:
    share, usual = found.numbers.get("share"), found.numbers.get("usual_share")
    if share is None or usual is None:
        return _volume(found, newest_model)
    who = found.name.scope().get("principal", "one principal")
    return f"{who} went from {usual:.0%} to {share:.0%} of the requests, and {_volume(found, newest_model)}"


def _new_model(found: Candidate, newest_model: str) -> str:
    which = f"model {newest_model}" if newest_model else "a model"
    if not 0 < found.before < found.after:
        return f"{which} is used for the first time, and {_volume(found, newest_model)}"
    return f"with {which}, used for the first time, {_rise(found)}"


def _job(found: Candidate, newest_model: str) -> str:
    spent, most = found.numbers.get("usd_in_horizon", 0.0), found.numbers.get("usd_of_dearest_four_hours", 0.0)
    return f"a job whose dearest four hours of the last three days cost {most:,.2f} USD has cost {spent:,.2f}"


def _clockwork(found: Candidate, newest_model: str) -> str:
    number = found.numbers.get
    who = found.name.scope().get("principal", "one principal")
    evenly = number("evenness", found.score)
    pace = f"{number('requests_per_minute', 0.0):,.0f} times a minute, {evenly:.1f} times as evenly as chance"
    usd, usual = number("usd_per_hour", found.observed_usd_per_hour), number("usual_usd_per_hour", 0.0)
    return f"{who} calls {pace} and as never before, for {usd:,.2f} USD an hour (usual {usual:,.2f})"


def _retries(found: Candidate, newest_model: str) -> str:
    number = found.numbers.get
    failing = f"{number('error_share', 0.0):.0%} of the requests fail ({number('usual_error_share', 0.0):.0%} before)"
    now, usual = number("usd_per_success"), number("usual_usd_per_success")
    if now is None or not usual:
        return f"{failing} and are billed"
    return f"{failing} and each that succeeds costs {now:.4f} USD, {usual:.4f} before (x{now / usual:.1f})"


def _idle(found: Candidate, newest_model: str) -> str:
    usd, usual = found.numbers.get("usd_per_hour", 0.0), found.numbers.get("usual_usd_per_hour", 0.0)
    return f"GPUs cost {usd:,.2f} USD an hour (usual {usual:,.2f}) and served no request"


def _mixture(found: Candidate, newest_model: str) -> str:
    risen = [f"{name} {value:.1f}" for name, value in found.features.items() if value > 0][:3]
    leading = f" ({', '.join(risen)})" if risen else ""
    return f"an unusual mixture of changes{leading}: {_volume(found, newest_model)}"


def _unlike(found: Candidate, newest_model: str) -> str:
    what = _WHAT[found.driver]
    return (
        f"{found.after:,.0f} {what}, on a service with no past, are far more than other services send to the same model"
    )


def _unpriced(found: Candidate, newest_model: str) -> str:
    return f"{found.score:,.0f} requests in a minute have no known price"


_BY_KIND: dict[str, Callable[[Candidate, str], str]] = {
    "share_burst": _share,
    "new_model": _new_model,
    "clockwork": _clockwork,
    "job_cadence": _job,
    "retry_storm": _retries,
    "idle_gpu": _idle,
    "odd_mixture": _mixture,
    "unlike_peers": _unlike,
    "unpriced_model": _unpriced,
    "volume_burst": _volume,
}
"""Kinds that say more than which driver rose."""
