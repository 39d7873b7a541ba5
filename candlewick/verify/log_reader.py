"""The log's side: one partition of the trades and 1m candle topics, read as plain JSON."""

import json

from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import PartitionLog, candle_digest, trade_digest
from market.records import Record
from runtime.kafka import ends, read_to_end
from runtime.settings import Settings


async def partitions_of(settings: Settings) -> list[int]:
    """The partitions of the trades topic."""
    return sorted(await ends(settings, settings.topics.trades))


async def read_partition(settings: Settings, partition: int, findings: Findings) -> PartitionLog:
    """One partition of both topics, as they stand; a record that is not what its topic holds is a finding."""
    log = PartitionLog(partition)
    for topic, take in ((settings.topics.trades, _take_trade), (settings.topics.candles(), _take_candle)):
        async for records in read_to_end(settings, topic, partitions=[partition]):
            for record in records:
                try:
                    take(log, record, dict(record.headers))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    where = f"{topic} partition {partition} offset {record.offset}"
                    findings.add(FindingKind.DIFFERENT, f"{where} is not what the topic holds ({error!r})")
    return log


def _take_trade(log: PartitionLog, record: Record, headers: dict[str, bytes]) -> None:
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


def _take_candle(log: PartitionLog, record: Record, headers: dict[str, bytes]) -> None:
    if record.value is None:
        return
    fields: Fields = json.loads(record.value.decode())
    log.candles[record.offset] = candle_digest(fields)
    if "run" not in headers:
        log.key(f"{fields['exchange']}:{fields['symbol']}").take_candle(fields)
