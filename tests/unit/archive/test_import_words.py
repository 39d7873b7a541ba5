"""What ``candlewick import`` takes for a time, and what it says it did."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from candlewick.cli import main
from candlewick.commands.import_ import _summary, _time_us, app
from market.trade import Proof, Side, Trade
from producers.archive.dump import DumpPeriod
from producers.archive.importing import Imported
from producers.archive.plan import Plan, PlannedMinute
from producers.archive.proof import MissingIds
from producers.archive.survey import Conflicts
from runtime.errors import UsageError

MINUTE = 60_000_000


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2019-10-11T00:01Z", 1_570_752_060_000_000),
        ("2019-10-11T00:01", 1_570_752_060_000_000),
        ("2019-10-11", 1_570_752_000_000_000),
        ("2019-10-11T02:01+02:00", 1_570_752_060_000_000),
        ("1570752060123", 1_570_752_060_123_000),
        ("0", 0),
    ],
)
def test_a_time_is_iso_8601_or_epoch_milliseconds(text: str, time_us: int) -> None:
    _, bound, _ = app.parse_args(["x.csv", "--complete-from", text])
    assert _time_us("--complete-from", bound.arguments["complete_from"]) == time_us


@pytest.mark.parametrize("text", ["yesterday", "", "-5", "2019-13-01", "99999999999999999999", "0001-01-01"])
def test_another_text_is_no_time(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "x.csv", f"--complete-until={text}"]) == UsageError.exit_code
    assert "a time" in capsys.readouterr().err


def imported(plan: Plan, **about: Any) -> Imported:
    usual = {
        "path": Path("folder/a.csv"), "key": "x:A-B", "run": "ab12", "span": DumpPeriod(0, 3 * MINUTE), "trades": 0,
        "finished_before": False, "read_back": 0, "repeated": 0, "conflicts": Conflicts(), "bad": 0, "others": 0,
        "checksum_verified": False,
    }  # fmt: skip
    return Imported(plan=plan, **(usual | about))


def minute(at: int, proof: Proof, trades: int = 1) -> PlannedMinute:
    return PlannedMinute(at * MINUTE, proof, None, trades, None, 0)


def test_the_summary_says_by_range_what_is_proved_claimed_and_missing() -> None:
    gap = MissingIds(8, 10, DumpPeriod(2 * MINUTE, 4 * MINUTE))
    plan = Plan(
        minutes=[minute(0, Proof.CONNECTION), minute(1, Proof.IDS, 3), minute(2, Proof.HOLE), minute(3, Proof.HOLE)],
        before=None, gaps=[gap], left=5, kept=2,
    )  # fmt: skip
    assert _summary(imported(plan, trades=8, read_back=1, repeated=3, bad=4, others=5)).splitlines() == [
        (
            "imported: a.csv: x:A-B, run ab12: 8 trades, 1 of them read back from the log, 4 minutes; 5 minutes say as "
            "much already (3 rows repeated, 4 bad, 5 of other markets)"
        ),
        "  only claimed   1970-01-01T00:00Z until 1970-01-01T00:01Z: 1 minutes, 1 trades",
        "  proved by ids  1970-01-01T00:01Z until 1970-01-01T00:02Z: 1 minutes, 3 trades",
        "  trades missing 1970-01-01T00:02Z until 1970-01-01T00:04Z: 2 minutes, 2 trades; 3 ids are missing (8 to 10)",
        (
            "  2 trades of unfinished minutes are kept in the log: a later import may make them whole, --complete-from "
            "and --complete-until say that they are"
        ),
    ]


def test_the_summary_names_ids_that_the_file_tells_twice() -> None:
    conflicts = Conflicts()
    for number in range(25):
        conflicts.add(trade(number))
    said = _summary(imported(Plan(minutes=[], before=None, gaps=[], left=3), conflicts=conflicts))
    assert said.startswith("nothing to improve: a.csv: x:A-B, run ab12: all 3 minutes say as much already")
    assert "tells 25 ids twice, with two contents; the first counts: 0 at 1970-01-01T00:00:00Z, 1 at" in said
    assert said.endswith("and 5 more")


def trade(number: int) -> Trade:
    one = Decimal(1)
    return Trade(exchange="x", symbol="A-B", trade_id=str(number), price=one, qty=one, side=Side.BUY, time_us=5)


def test_many_ranges_are_counted() -> None:
    minutes = [minute(at, (Proof.IDS, Proof.CONNECTION)[at % 2]) for at in range(30)]
    said = _summary(imported(Plan(minutes=minutes, before=None, gaps=[], left=0))).splitlines()
    assert (len(said), said[-1]) == (22, "  … and 10 more ranges")


def test_minutes_out_of_reach_are_named() -> None:
    plan = Plan(minutes=[minute(9, Proof.IDS)], before=None, gaps=[], left=0, out_of_reach=[0, MINUTE])
    assert "left as they are: 2 minutes from 1970-01-01T00:00Z to 1970-01-01T00:01Z" in _summary(imported(plan))
