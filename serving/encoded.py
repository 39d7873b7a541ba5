"""Candles as their topic's JSON, with what has to be known of them to join the tiers' answers. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa

from market.candle import Candle, Status
from market.codec import decode_candle
from market.decimals import EXACT, ZERO, plain
from market.errors import MalformedError
from market.key import MarketKey
from market.texts import CandleTexts, encode_texts
from serving.lengths import CandleLength
from serving.texts import json_values
from sinks.record_forms import FORMS, RecordKind

_open_ms = re.compile(rb'"open_time_ms":(\d+),').search
_end = re.compile(rb'"revision":(\d+),"status":"([a-z]+)"\}$').search
_STATUSES = {status.value.encode(): status for status in Status}


class EncodedCandle(NamedTuple):
    """One candle. `minutes` is how many of its minutes it is made of."""

    open_ms: int
    revision: int
    status: Status
    minutes: int
    value: bytes


def encoded_value(value: bytes, length: CandleLength, minutes: int | None = None) -> EncodedCandle:
    """A value in the form that our codec writes; made of all its minutes, if not told. Raises `MalformedError`."""
    opened, end = _open_ms(value), _end(value)
    if opened is None or end is None or end[2] not in _STATUSES:
        raise MalformedError(f"no candle: {value[:100]!r}")
    open_ms = int(opened[1])
    return EncodedCandle(
        open_ms, int(end[1]), _STATUSES[end[2]], length.minutes(open_ms) if minutes is None else minutes, value
    )


def encoded_window(value: bytes, length: CandleLength) -> EncodedCandle:
    """A value with `minutes_covered` behind it, as `sinks.clickhouse.read_candles` gives it."""
    begin, name, end = value.rpartition(b',"minutes_covered":')
    if not name or not end[:-1].isdigit():
        raise MalformedError(f"no window: {value[:100]!r}")
    return encoded_value(begin + b"}", length, int(end[:-1]))


def encoded_rows(rows: pa.Table) -> list[EncodedCandle]:
    """1m candles, from rows as `sinks.record_forms` has them. Raises `MalformedError`."""
    form = FORMS[RecordKind.CANDLES]
    values = json_values(rows.select(form.told.names), omits_null=form.omits_null)
    opens, revisions, statuses = (rows[name].to_pylist() for name in ("open_time_ms", "revision", "status"))
    try:
        return [
            EncodedCandle(open_ms, revision, Status(status), 1, value)
            for open_ms, revision, status, value in zip(opens, revisions, statuses, values, strict=True)
        ]
    except ValueError as error:
        raise MalformedError(f"no candle: {error}") from error


def fold_minutes(market: MarketKey, length: CandleLength, minutes: Iterable[EncodedCandle]) -> list[EncodedCandle]:
    """Candles of a length out of 1m candles, which are in order; only of minutes that are there.

    The same rules as in ClickHouse's `candles_of` and in the rolling processor: revision the greatest, status the
    worst, ids of the first and the last minute that have trades.
    """
    windows: dict[int, list[Candle]] = {}
    for minute in minutes:
        windows.setdefault(length.open_ms(minute.open_ms), []).append(decode_candle(minute.value))
    return [_folded(market, length, open_ms, parts) for open_ms, parts in windows.items()]


def _folded(market: MarketKey, length: CandleLength, open_ms: int, parts: list[Candle]) -> EncodedCandle:
    volume = quote_volume = bought = quote_bought = ZERO
    for part in parts:
        volume = EXACT.add(volume, part.volume)
        quote_volume = EXACT.add(quote_volume, part.quote_volume)
        bought = EXACT.add(bought, part.taker_buy_volume)
        quote_bought = EXACT.add(quote_bought, part.taker_buy_quote_volume)
    traded = [part for part in parts if part.first_trade_id is not None]
    revision = max(part.revision for part in parts)
    status = max((part.status for part in parts), key=lambda status: status.rank)
    value = encode_texts(
        CandleTexts(
            market.exchange,
            market.symbol,
            str(length),
            open_ms,
            length.end_ms(open_ms) - 1,
            plain(parts[0].open),
            plain(max(part.high for part in parts)),
            plain(min(part.low for part in parts)),
            plain(parts[-1].close),
            plain(volume),
            plain(quote_volume),
            sum(part.trades for part in parts),
            plain(bought),
            plain(quote_bought),
            traded[0].first_trade_id if traded else None,
            traded[-1].last_trade_id if traded else None,
            revision,
            status,
        )
    )
    return EncodedCandle(open_ms, revision, status, len(parts), value)


def told_value(candle: EncodedCandle, length: CandleLength) -> bytes:
    """The value as it is answered: one that lacks minutes says how many."""
    missing = length.minutes(candle.open_ms) - candle.minutes
    if not missing:
        return candle.value
    return b'%b,"minutes_covered":%d,"minutes_missing":%d}' % (candle.value[:-1], candle.minutes, missing)
