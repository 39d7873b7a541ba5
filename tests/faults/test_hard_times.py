"""Restarts with late trades pending, symbols that fall silent, and clocks that are wrong, on the real Kafka."""

import random
from decimal import Decimal

from candle_engine import candles_in, fill, move_group, one_pass, read_all, source_of
from market_log import KEYS, MINUTE, START, Log, make_log, make_trade
from past_log import fill_past, minutes_ago
from two_versions import assert_true

from market.candle import Candle
from market.codec import decode_candle, decode_marker, encode_marker, encode_trade
from market.topics import Topics
from market.trade import Marker, Proof
from runtime.settings import Settings

KEY = KEYS[0]
DAY = 86_400_000_000
WRONG = "999999999"


async def test_a_restart_with_late_and_duplicate_trades_pending_changes_nothing(
    settings: Settings, topics: Topics
) -> None:
    log, at = Log(), START + MINUTE
    log.marker(KEY, at, Proof.BEGIN)
    log.trade(make_trade(KEY, 1, at + 10, "10", "2"))
    log.trade(make_trade(KEY, 3, at + 30, "30", "1"))
    log.marker(KEY, at + MINUTE)
    log.trade(make_trade(KEY, 4, at + MINUTE + 5, "5", "1"))
    log.trade(
        make_trade(KEY, 2, at + 20, "40", "0.5")
    )  # late, within the allowed lateness; its revision waits for a marker
    log.trade(make_trade(KEY, 3, at + 30, "30", "1"))
    log.trade(make_trade(KEY, 4, at + MINUTE + 5, "5", "1"))
    restart = len(log.records)
    log.trade(make_trade(KEY, 2, at + 20, "40", "0.5"))
    log.marker(KEY, at + 2 * MINUTE)
    await fill(settings, Log(records=log.records[:restart]))
    await one_pass(settings)
    assert [_told(candle) for candle in await _candles(settings, topics)] == [(1, 10, 30, 10, 30, "3", "50", 2, 3)]
    await fill(settings, Log(records=log.records[restart:]))
    await one_pass(settings)
    assert [_told(candle) for candle in await _candles(settings, topics)] == [
        (1, 10, 30, 10, 30, "3", "50", 2, 3),
        (1, 10, 40, 10, 30, "3.5", "70", 3, 9),
        (2, 5, 5, 5, 5, "1", "5", 1, 9),
    ]


async def test_the_last_candles_of_a_silent_symbol_come_and_are_the_same_on_replay(
    settings: Settings, topics: Topics
) -> None:
    log, at = Log(), START + MINUTE
    log.marker(KEY, at, Proof.BEGIN)
    log.trade(make_trade(KEY, 1, at + 10, "10", "2"))
    for minute in range(1, 4):
        log.marker(KEY, at + minute * MINUTE)
    await fill(settings, log)
    await one_pass(settings)
    first = await candles_in(settings)
    assert [_told(candle) for candle in await _candles(settings, topics)] == [
        (1, 10, 10, 10, 10, "2", "20", 1, 2),
        (2, 10, 10, 10, 10, "0", "0", 0, 3),
        (3, 10, 10, 10, 10, "0", "0", 0, 4),
    ]
    move_group(settings, topics.group("candles"), dict.fromkeys(range(4), 0))
    await one_pass(settings)
    assert await candles_in(settings) == first + first


async def test_wrong_clocks_close_nothing_and_are_quarantined_once(settings: Settings, topics: Topics) -> None:
    clean, truths = make_log(71, minutes=40, runs=False, start_us=minutes_ago(60))
    log, ahead, behind = _with_wrong_clocks(clean)
    assert ahead > 20
    assert behind > 5
    third = len(log.records) // 3
    for part in (log.records[:third], log.records[third : 2 * third], log.records[2 * third :]):
        await fill_past(settings, Log(records=part))
        await one_pass(settings)
    made = await _candles(settings, topics)
    assert_true(made, truths)
    assert max(candle.high for candle in made) < Decimal(WRONG)
    opens_ms: dict[str, set[int]] = {}
    for candle in made:
        opens_ms.setdefault(candle.key, set()).add(candle.open_time_ms)
    assert all(opens == set(range(min(opens), max(opens) + 1, 60_000)) for opens in opens_ms.values())
    dead = await read_all(settings, topics.dead_letters(topics.trades))
    assert sum(("__streams.errors.exception", b"AheadError") in one.headers for one in dead) == ahead
    assert len(set(map(source_of, dead))) == len(dead)
    late = await read_all(settings, topics.late)
    assert sum(WRONG.encode() in (one.value or b"") for one in late) == behind


def _with_wrong_clocks(clean: Log) -> tuple[Log, int, int]:
    """Trades and markers of clocks that are fast, and trades of slow ones, between the records; how many of each."""
    rng, log, ahead, behind = random.Random(71), Log(), 0, 0
    began_us, until_us = dict[str, int](), dict[str, int]()
    for record in clean.records:
        log.records.append(record)
        log.now_ms = record.timestamp
        key = (record.key or b"").decode()
        marker = decode_marker(record.headers) if record.value is None else None
        if marker is not None:
            began_us.setdefault(key, marker.published_until_us + MINUTE)
            until_us[key] = max(until_us.get(key, 0), marker.complete_until_us)
        if key not in began_us or rng.random() > 0.2:
            continue
        fast_us = rng.choice((DAY, 10 * MINUTE)) + record.timestamp * 1000
        log.append(key, encode_trade(make_trade(key, 10**9 + len(log.records), fast_us, WRONG)))
        more = {"complete_until_us": fast_us // MINUTE * MINUTE, "published_until_us": fast_us // MINUTE * MINUTE}
        log.append(key, None, encode_marker(Marker(proof=Proof.IDS, **more)))
        ahead += 2
        if (slow_us := until_us[key] - 10 * MINUTE - 1) >= began_us[key]:
            log.append(key, encode_trade(make_trade(key, 10**9 + len(log.records), slow_us, WRONG)))
            behind += 1
    return log, ahead, behind


async def _candles(settings: Settings, topics: Topics) -> list[Candle]:
    return [decode_candle(record.value or b"") for record in await read_all(settings, topics.candles())]


def _told(candle: Candle) -> tuple[int | str, ...]:
    minute = (candle.open_time_ms * 1000 - START) // MINUTE
    prices = (int(candle.open), int(candle.high), int(candle.low), int(candle.close))
    return minute, *prices, f"{candle.volume:f}", f"{candle.quote_volume:f}", candle.trades, candle.revision
