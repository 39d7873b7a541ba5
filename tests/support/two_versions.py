"""What two versions of the candle engine, side by side or in turn, must have written: held to an uninterrupted pass."""

from decimal import Decimal
from typing import Any

from candle_engine import read_all
from market_log import KEYS, Log, expected, make_log
from next_version import known_bytes, with_unknown

from market.candle import Candle
from market.codec import decode_candle, encode_candle, header, run_of
from market.records import Record
from market.trade import Trade
from processors.candles.core import Core, Outputs, Rules
from runtime.settings import Settings

Truths = dict[str, list[Trade]]


def log_of_both(seed: int, minutes: int) -> tuple[Log, Truths]:
    """A log of two versions: every second record has unknown fields and headers; late trades stand at its end."""
    log, truths = make_log(seed, minutes=minutes)
    for key in KEYS:
        for trade in truths[key][:6]:
            log.trade(trade)
    return Log(records=[with_unknown(record) if n % 2 else record for n, record in enumerate(log.records)]), truths


async def assert_exactly_once(settings: Settings, truths: Truths) -> None:
    """Candles, late trades and dead letters are those of one uninterrupted pass, each once, whole, and true."""
    topics = settings.topics
    trades = await read_all(settings, topics.trades)
    wanted = {partition: _uninterrupted(settings, trades, partition) for partition in range(settings.partitions)}
    written = await read_all(settings, topics.candles())
    assert sorted(
        (one.partition, run_of(one.headers) or "", known_bytes(one.value or b"")) for one in written
    ) == sorted(
        (partition, run or "", encode_candle(candle))
        for partition, outputs in wanted.items()
        for candle, run in outputs.candles
    )
    assert_true([decode_candle(one.value or b"") for one in written if run_of(one.headers) is None], truths)
    late = sorted(map(_whole, await read_all(settings, topics.late)))
    assert late == sorted(_whole(record) for outputs in wanted.values() for record in outputs.late)
    assert any(b'"next"' in value for _, value, _ in late)
    refused = {
        (b"%d" % partition, b"%d" % record.offset): record
        for partition, outputs in wanted.items()
        for record, _ in outputs.dead
    }
    dead = await read_all(settings, topics.dead_letters(topics.trades))
    assert sorted(map(_source, dead)) == sorted(refused)
    for letter in dead:
        record = refused[_source(letter)]
        own_headers = tuple(letter.headers)[: len(record.headers)]
        assert (letter.key, letter.value, own_headers) == (record.key, record.value, tuple(record.headers))


def _uninterrupted(settings: Settings, trades: list[Record], partition: int) -> Outputs:
    core = Core(partition=partition, partitions=settings.partitions, position=0, rules=Rules(), awaits_floor=False)
    return core.process([record for record in trades if record.partition == partition])


def assert_true(candles: list[Candle], truths: Truths) -> None:
    """The newest revision of every minute with trades is what its trades say, by plain integers."""
    newest: dict[tuple[str, int], Candle] = {}
    for candle in candles:
        minute = (candle.key, candle.open_time_ms)
        newest[minute] = max(candle, newest.get(minute, candle), key=lambda one: one.revision)
    wanted = {at: expected(truths[at[0]], at[1] * 1000) for at in newest}
    held = {at: want for at, want in wanted.items() if want is not None}
    assert len(held) > len(newest) // 3
    for at, want in held.items():
        assert {name: _scaled(name, getattr(newest[at], name)) for name in want} == want


def _scaled(name: str, value: Any) -> object:
    return int(value * 10 ** (36 if "quote" in name else 18)) if isinstance(value, Decimal) else value


def _whole(record: Record) -> tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]:
    return record.key or b"", record.value or b"", tuple(record.headers)


def _source(letter: Record) -> tuple[bytes, bytes]:
    partition, offset = (header(letter.headers, f"__streams.errors.{name}") for name in ("partition", "offset"))
    return partition or b"", offset or b""
