"""The log's side: one partition of its topics, read as plain JSON."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from candlewick.verify.bars import BarCheck, read_sizes
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import PartitionLog, candle_digest, trade_digest
from candlewick.verify.logged import KeptKind, LoggedKind
from candlewick.verify.rolled import RolledCheck
from candlewick.verify.scores import ScoreCheck
from candlewick.verify.stores import StoresCheck
from candlewick.verify.windows import TIMEFRAMES
from market.records import Record
from runtime.kafka import ends, read_to_end
from runtime.settings import Settings

Taker = TypeVar("Taker")
_HELD_RECORDS = 500_000
"""About so many records are held at a time."""


async def partitions_of(settings: Settings) -> list[int]:
    """The partitions of the trades topic."""
    return sorted(await ends(settings, settings.topics.trades))


async def read_partition(settings: Settings, partition: int, findings: Findings) -> PartitionLog:
    """One partition of both topics, as they stand; a record that is not what its topic holds is a finding."""
    log = PartitionLog(partition)
    for topic, take in ((settings.topics.trades, _take_trade), (settings.topics.candles(), _take_candle)):
        await _each(settings, topic, {partition: log}, take, findings)
    return log


async def check_rolled(settings: Settings, keys: Collection[str], stores: StoresCheck, findings: Findings) -> None:
    """Hold the longer candles and tickers of these markets against the 1m candles, some partitions at a time.

    Then the stores against the longer candles and tickers of the log.
    """
    topics = settings.topics
    minutes, live, tickers = topics.candles(), topics.live, topics.tickers
    longer = [minutes.replace(".1m.", f".{timeframe}.") for timeframe in TIMEFRAMES]
    first_live = {partition: end.first for partition, end in (await ends(settings, live)).items()}
    for partitions in await _rounds(settings, minutes, live, tickers):
        checks = {
            partition: RolledCheck(keys, findings, are_live_candles_whole=first_live[partition] == 0)
            for partition in partitions
        }
        for topic in longer:
            await _each(settings, topic, checks, lambda check, record: check.take_candle(record), findings)
        await _each(settings, live, checks, lambda check, record: check.take_live_candle(record), findings)
        await _each(settings, tickers, checks, lambda check, record: check.take_ticker(record), findings)
        # malformed ones are told of already
        await _each(settings, minutes, checks, lambda check, record: check.take_minute(record), Findings())
        for check in checks.values():
            check.end()
            for key, market in check.markets.items():
                if market.tickers:  # this is its partition
                    await stores.candles(key, market.candles)
                    await stores.tickers(key, market.tickers, is_compacted=check.are_tickers_compacted)


async def check_bars(settings: Settings, thresholds: str, keys: Collection[str], findings: Findings) -> None:
    """Hold the live bars of these markets against trades and markers; `thresholds` is the text of their file."""
    sizes, topics = read_sizes(thresholds, keys), settings.topics
    for partition in await partitions_of(settings):
        check = BarCheck(sizes, findings)
        await _each(settings, topics.bars, {partition: check}, lambda check, record: check.take_bar(record), findings)
        await _each(
            settings, topics.trades, {partition: check}, lambda check, record: check.take_trade(record), Findings()
        )
        check.end()


async def check_scores(settings: Settings, findings: Findings) -> None:
    """Hold the scores of volume and return that were told, by the usual rules, against the 1m candles."""
    signals, minutes = settings.topics.signals, settings.topics.candles()
    for partitions in await _rounds(settings, signals, minutes):
        checks = {partition: ScoreCheck(findings) for partition in partitions}
        # malformed ones are told of elsewhere
        await _each(settings, signals, checks, lambda check, record: check.take_signal(record), Findings())
        await _each(settings, minutes, checks, lambda check, record: check.take_minute(record), Findings())
        for check in checks.values():
            check.end()


async def check_stored(settings: Settings, stores: StoresCheck, findings: Findings) -> None:
    """Hold the stores against the bars and signals of the log, some partitions at a time."""
    for kind, topic in ((KeptKind.BAR, settings.topics.bars), (KeptKind.SIGNAL, settings.topics.signals)):
        for partitions in await _rounds(settings, topic):
            logged = {partition: LoggedKind(kind) for partition in partitions}
            await _each(settings, topic, logged, lambda of_kind, record: of_kind.take(record), findings)
            for partition, of_kind in logged.items():
                stores.files(topic, partition, of_kind)
                for key, market in of_kind.markets.items():
                    await (stores.bars(key, market) if kind is KeptKind.BAR else stores.signals(key, market))


async def _rounds(settings: Settings, *topics: str) -> list[list[int]]:
    """The partitions of these topics in groups that can be held at a time."""
    spans = [await ends(settings, topic) for topic in topics]
    partitions = sorted(spans[0])
    records = sum(end.next - end.first for span in spans for end in span.values())
    count = min(len(partitions), 1 + records // _HELD_RECORDS)
    return [partitions[number::count] for number in range(count)]


async def _each(
    settings: Settings,
    topic: str,
    taken_by: Mapping[int, Taker],
    take: Callable[[Taker, Record], None],
    findings: Findings,
) -> None:
    async for records in read_to_end(settings, topic, partitions=taken_by):
        for record in records:
            try:
                take(taken_by[record.partition], record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                where = f"{topic} partition {record.partition} offset {record.offset}"
                findings.add(FindingKind.DIFFERENT, f"{where} is not what the topic holds ({error!r})")


def _take_trade(log: PartitionLog, record: Record) -> None:
    headers = dict(record.headers)
    name = (record.key or b"").decode()
    if record.value is None:
        if "proof" in headers and "run" not in headers:
            proof, last_id = headers["proof"].decode(), headers.get("last_trade_id", b"").decode()
            log.key(name).take_marker(int(headers["complete_until_us"]), proof, last_id)
        return
    trade = json.loads(record.value.decode())
    if name != f"{trade['exchange']}:{trade['symbol']}":
        raise ValueError(f"a trade of {trade['exchange']}:{trade['symbol']} under the key {name}")
    digest = trade_digest(
        key=name,
        trade_id=trade["trade_id"],
        price=trade["price"],
        qty=trade["qty"],
        side=trade["side"],
        time_us=trade["time_us"],
    )
    log.trades[record.offset] = digest
    if "run" not in headers:
        key = log.key(name)
        key.ids.append(trade["trade_id"])
        key.digests.append(digest)
        key.times_us.append(trade["time_us"])


def _take_candle(log: PartitionLog, record: Record) -> None:
    if record.value is None:
        return
    fields: Fields = json.loads(record.value.decode())
    log.candles[record.offset] = candle_digest(fields)
    if "run" not in dict(record.headers):
        log.key(f"{fields['exchange']}:{fields['symbol']}").take_candle(fields)
