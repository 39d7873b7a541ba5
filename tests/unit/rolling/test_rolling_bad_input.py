"""Bad candles among good ones: each has its stated outcome (docs/rolling.md), and the rest comes out as without it."""

import random
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import pytest
from rolled import MINUTE, START, Minute, minute, newest, rolled

from market.errors import MalformedError
from processors.rolling.core import Output, Rolling

KEY = b"binance:BTC-USDT"
PRICES = {"open": "7", "high": "9", "low": "6", "close": "8"}


def made(number: int, revision: int | None = None, **fields: Any) -> bytes:
    return minute(
        random.Random(number), START + number * MINUTE, 10 + number if revision is None else revision, **fields
    )


def good(count: int, *, without: Iterable[int] = ()) -> list[bytes]:
    return [made(number) for number in range(count) if number not in set(without)]


def taken(values: Iterable[bytes], bad: Mapping[int, bytes] | None = None) -> list[Output]:
    """What comes out; before a place may stand a bad value, which has to be refused."""
    core, offset = Rolling(0, 1), 0
    outputs: list[Output] = []
    for place, value in enumerate(values):
        if bad and place in bad:
            with pytest.raises(MalformedError):
                core.take(Minute(offset, START + place * MINUTE, KEY, bad[place]))
            offset += 1
        outputs += core.take(Minute(offset, START + place * MINUTE, KEY, value))
        offset += 1
    return outputs + core.flush()


def values_of(outputs: Iterable[Output]) -> list[tuple[object, bytes]]:
    return [(output.timeframe, output.value) for output in outputs]


REFUSED: dict[str, tuple[bytes, str]] = {
    "low above high": (made(3, **PRICES | {"low": "10"}), "low"),
    "open above high": (made(3, **PRICES | {"open": "9.5"}), "high"),
    "close below low": (made(3, **PRICES | {"close": "5.5"}), "low"),
    "a price of 0": (made(3, **PRICES | {"low": "0"}), "0"),
    "a negative volume": (made(3, volume="-1"), "not a plain decimal"),
    "no number": (made(3, volume="NaN"), "not a plain decimal"),
    "a float": (made(3).replace(b'"revision":13', b'"revision":13.5'), "revision"),
    "another timeframe": (made(3, timeframe="5m"), "time"),
    "no whole minute": (made(3, open_time_ms=START + 3 * MINUTE + 1), "time"),
    "an unknown status": (made(3, status="great"), "status"),
    "a minute of the future": (made(30), "future"),
    "no JSON": (b"{", "not a candle"),
    "another market": (made(3, symbol="ETH-USDT"), "key"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_candle_is_refused_with_its_reason_and_the_rest_comes_out_as_without_it(name: str) -> None:
    value, reason = REFUSED[name]
    with pytest.raises(MalformedError, match=reason):
        Rolling(0, 1).take(Minute(0, START + 4 * MINUTE, KEY, value))
    values = good(64)
    places = random.Random(name).sample(range(5, 20), 3)
    assert values_of(taken(values, dict.fromkeys(places, value))) == values_of(taken(values))


@pytest.mark.parametrize("value", [made(7, 3, **PRICES), made(7)], ids=["a revision lower than seen", "a repetition"])
def test_what_was_seen_in_a_newer_or_the_same_form_is_passed_over(value: bytes) -> None:
    values = good(64)
    assert values_of(taken([*values[:20], value, *values[20:]])) == values_of(taken(values))


def test_minutes_out_of_order_are_in_every_window_and_make_no_ticker() -> None:
    values = good(64)
    late = [*values[:7], *values[8:20], values[7], *values[20:]]
    outputs, plain = taken(late), taken(values)
    assert last_candles(outputs) == last_candles(plain) == rolled(newest(Minute(0, 0, KEY, value) for value in values))
    times = [orjson.loads(output.value)["time_ms"] for output in outputs if output.timeframe is None]
    assert times == [START + (number + 1) * MINUTE for number in range(64) if number != 7]
    assert outputs[-1].value == plain[-1].value


def test_a_gap_keeps_back_the_windows_over_it_and_no_others_until_it_is_filled() -> None:
    values = good(64, without=(7, 8))
    core = Rolling(0, 1)
    outputs = [
        output for place, value in enumerate(values) for output in core.take(record(place, value))
    ] + core.flush()
    whole = last_candles(taken(good(64)))
    opens = {"3m": 6, "5m": 5, "15m": 0, "30m": 0, "1h": 0}
    held_back = {(timeframe, START + number * MINUTE) for timeframe, number in opens.items()}
    assert whole.keys() - last_candles(outputs).keys() == held_back
    assert orjson.loads(outputs[-1].value)["windows"]["24h"]["minutes"] == 62
    filled = [output for number in (7, 8) for output in core.take(record(100 + number, made(number)))] + core.flush()
    assert last_candles(filled).keys() == held_back
    assert last_candles([*outputs, *filled]) == whole


def record(offset: int, value: bytes) -> Minute:
    return Minute(offset, START + 70 * MINUTE, KEY, value)


def last_candles(outputs: Iterable[Output]) -> dict[tuple[str, int], dict[str, Any]]:
    made_of = [orjson.loads(output.value) for output in outputs if output.timeframe is not None]
    return {(fields["timeframe"], fields["open_time_ms"]): fields for fields in made_of}
