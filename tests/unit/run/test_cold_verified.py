"""The verifier's own reading of the cold store's files, of this version and of an earlier one in the log's order."""

import json
import shutil
from pathlib import Path

import pytest
from cold_rows import BEFORE, TRADE, files, record, trades_before
from market_log import LogRecord

from candlewick.verify.amounts import trimmed
from candlewick.verify.cold import ColdFiles
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import PartitionLog, trade_digest
from runtime.settings import load_settings
from sinks.parquet.files import parquet_bytes
from sinks.parquet.schema import TRADES

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
