"""What ``candlewick import`` takes for a time, and what it says it did."""

import pytest

from candlewick.commands.import_ import _summary, _time_us
from market.trade import Proof
from producers.archive.dump import Span
from producers.archive.importing import Imported
from runtime.errors import UsageError


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2019-10-11T00:01Z", 1_570_752_060_000_000),
        ("2019-10-11T00:01", 1_570_752_060_000_000),
        ("2019-10-11", 1_570_752_000_000_000),
        ("2019-10-11T02:01+02:00", 1_570_752_060_000_000),
        ("1570752060123", 1_570_752_060_123_000),
        ("0", 0),
        (None, None),
    ],
)
def test_a_time_is_iso_8601_or_epoch_milliseconds(text: str | None, time_us: int | None) -> None:
    assert _time_us("--complete-from", text) == time_us


@pytest.mark.parametrize("text", ["yesterday", "", "-5", "2019-13-01", "99999999999999999999", "1e9", "0001-01-01"])
def test_another_text_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match=r"--complete-until .* is no time"):
        _time_us("--complete-until", text)


def test_the_summary_counts_what_was_published_and_what_was_not() -> None:
    done = Imported(
        key="x:A-B", run="ab12", span=Span(0, 180_000_000), finished_before=False, trades=7,
        minutes={Proof.HOLE: 1, Proof.IDS: 1}, left=1, outside=2, repeated=3, bad=4, others=5,
    )  # fmt: skip
    assert _summary(done) == (
        "imported: x:A-B from 1970-01-01T00:00Z until 1970-01-01T00:03Z, run ab12: 7 trades, 2 minutes: 1 ids, 1 hole"
        " (1 left alone, whose candles are as good); 2 rows outside the range, 3 repeated, 4 bad, 5 of other markets"
    )
