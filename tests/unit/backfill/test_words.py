"""What ``candlewick backfill`` takes and says."""

from collections import Counter

import pytest

from candlewick.cli import main
from candlewick.commands.backfill import _summary
from market.key import MarketKey
from market.trade import Proof
from producers.archive.dump import DumpPeriod
from producers.archive.proof import MissingIds
from producers.archive.report import ReportedRange
from producers.backfill.backfill import FailedBackfillError
from producers.backfill.symbol import Backfilled
from runtime.errors import CandlewickError, UnavailableError, WrongDataError

MINUTE = 60_000_000
KEY = MarketKey("x", "A-B")
HOUR = DumpPeriod(0, 60 * MINUTE)


def test_the_summary_says_what_was_published_and_what_is_missing() -> None:
    hole = DumpPeriod(5 * MINUTE, 6 * MINUTE)
    result = Backfilled(
        key=KEY, span=DumpPeriod(0, 50 * MINUTE), asked=HOUR, wanted=10, trades=1_234, runs=1, bad=2, requests=7,
        minutes=Counter({Proof.IDS: 9, Proof.HOLE: 1}), out_of_reach=1, begins_us=90_000_000,
        holes=[ReportedRange(Proof.HOLE, hole, 3, gaps=[MissingIds(8, 10, hole)])],
    )  # fmt: skip
    assert _summary(result).splitlines() == [
        "x:A-B: 1970-01-01T00:00Z until 1970-01-01T00:50Z, 50 minutes",
        "  10 minutes asked for with 7 requests; 1,234 trades published in 1 run",
        "  published: 9 proved complete, 1 marked hole",
        "    1970-01-01T00:05Z until 1970-01-01T00:06Z marked hole: 3 trade ids are missing (8 to 10)",
        "  the exchange's trades begin at 1970-01-01T00:01:30Z: the first whole minute is the one after",
        (
            "  1 minute left as they are: some of their trades are no longer in the log, and the exchange did not give "
            "them"
        ),
        "  rows that are no trades (they are in the dead letters): 2",
        (
            "  not until 1970-01-01T01:00Z: live data are less than 15 minutes before, or the exchange has shown no "
            "trade as late"
        ),
    ]


def test_what_is_there_already_is_said() -> None:
    said = _summary(Backfilled(key=KEY, span=HOUR, asked=HOUR)).splitlines()
    assert said[1:] == ["  nothing to ask for: the log has all of them as well already"]


def test_failures_are_told_together_and_the_worst_gives_the_exit_code() -> None:
    failures: dict[str, CandlewickError] = {"A-B": UnavailableError("it is away"), "C-D": WrongDataError("two prices")}
    error = FailedBackfillError(failures, 5)
    assert (str(error), error.exit_code) == ("2 of 5 symbols failed: A-B: it is away; C-D: two prices", 3)
    assert str(FailedBackfillError({"A-B": UnavailableError("it is away")}, 1)) == "A-B: it is away"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["backfill", "binance", "BTC-USDT"], "--from"),
        (["backfill", "binance", "BTC-USDT", "--from", "yesterday"], "--from is 'yesterday': give a"),
        (["backfill", "binance", "A-B", "--from", "-5"], "--from"),
    ],
)
def test_wrong_words_are_exit_code_2_and_one_sentence(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.startswith("candlewick: ")
    assert "Traceback" not in told
