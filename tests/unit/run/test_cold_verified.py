"""The verifier's own reading of the cold store's files, of this version and of an earlier one in the log's order."""

import json
import shutil
from pathlib import Path

import pytest
from bar_log import new_core
from cold_rows import BEFORE, TRADE, files, record, trades_before
from market_log import LogRecord, make_log

from candlewick.verify.amounts import trimmed
from candlewick.verify.cold import ColdFiles
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import PartitionLog, trade_digest
from market.codec import encode_bar
from runtime.settings import load_settings
from sinks.parquet.files import parquet_bytes
from sinks.parquet.schema import BARS, TRADES

NOW = [record(TRADE | {"price": price}, 900 + place) for place, price in enumerate(["27000.1", "0.5", "31"])]


def digest(told: LogRecord) -> int:
    fields = json.loads(told.value or b"")
    return trade_digest(
        key=f"{fields['exchange']}:{fields['symbol']}", trade_id=fields["trade_id"],
        price=trimmed(fields["price"]), qty=trimmed(fields["qty"]), side=fields["side"], time_us=fields["time_us"],
    )  # fmt: skip


@pytest.mark.parametrize("spoilt", [None, 100, 901])
def test_files_of_both_versions_are_held_against_the_log(spoilt: int | None, tmp_path: Path) -> None:
    [file] = files(TRADES, NOW)
    (tmp_path / "now.parquet").write_bytes(parquet_bytes(TRADES, file.rows))
    shutil.copy(BEFORE, tmp_path)
    log = PartitionLog(0, trades={told.offset: digest(told) for told in [*trades_before(), *NOW]})
    if spoilt is not None:
        log.trades[spoilt] += 1
    findings = Findings()
    ColdFiles(load_settings(home=tmp_path, cold=tmp_path.as_uri())).check_partition(log, findings)
    assert findings.counts[FindingKind.DIFFERENT] == sum(findings.counts.values()) == (spoilt is not None)


def test_files_of_bars_are_no_files_of_candles(tmp_path: Path) -> None:
    [(bar, _), *_] = new_core().process(make_log(1)[0].records).bars
    told = record(json.loads(encode_bar(bar)), 900)._replace(key=bar.key.encode())
    [file] = files(BARS, [told])
    (tmp_path / "bars.parquet").write_bytes(parquet_bytes(BARS, file.rows))
    findings = Findings()
    ColdFiles(load_settings(home=tmp_path, cold=tmp_path.as_uri())).check_partition(PartitionLog(0), findings)
    assert findings.named == []
