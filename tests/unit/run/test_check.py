"""A key's log compared with the record, where ids were sent with two contents or are lost."""

from candlewick.verify.check import check_log, count_lost, digests_of, first_in_log
from candlewick.verify.demands import Demands
from candlewick.verify.expected import MINUTE_US, Sent, SpanUs
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import KeyLog
from candlewick.verify.verify import as_in_log

KEY = "binance:BTC-USDT"
T0 = 1_700_000_040_000_000
SPAN = SpanUs(T0, T0 + 2 * MINUTE_US)
ONE, OTHER = Sent("7", "5", "1", "buy", T0, 7), Sent("7", "6", "1", "buy", T0, 7)


def log_of(*trades: Sent) -> KeyLog:
    log = KeyLog()
    for trade in trades:
        log.ids.append(trade.trade_id)
        log.digests.append(digests_of(KEY, [trade])[trade.trade_id])
        log.times_us.append(trade.time_us)
    return log


def checked(*trades: Sent) -> Findings:
    """A log of one id's copies, against `ONE`, whose other content is `OTHER`."""
    findings, log, retold = Findings(), log_of(*trades), {"7": OTHER}
    sent = digests_of(KEY, [first_in_log(KEY, log, retold).get("7", ONE)])
    check_log(KEY, log, sent, SPAN, findings, also=digests_of(KEY, [OTHER]))
    return findings


def test_of_two_contents_the_first_in_the_log_counts() -> None:
    assert first_in_log(KEY, log_of(ONE, OTHER), {"7": OTHER}) == {}
    assert first_in_log(KEY, log_of(OTHER, ONE), {"7": OTHER}) == {"7": OTHER}
    assert checked(ONE, OTHER).redelivered == 1
    assert not checked(ONE, OTHER).named


def test_a_content_that_nobody_told_is_different_also_at_a_second_offset() -> None:
    strange = ONE._replace(price="7")
    assert checked(strange).counts[FindingKind.DIFFERENT] == 1
    assert checked(ONE, strange).counts[FindingKind.DIFFERENT] == 1


def test_lost_trades_and_their_complete_minutes_are_counted_in_the_span() -> None:
    log, findings = log_of(), Findings()
    log.take_candle({"open_time_ms": T0 // 1000, "status": "complete", "revision": 1})
    log.take_candle({"open_time_ms": T0 // 1000 + 60_000, "status": "hole", "revision": 1})
    lost = [ONE, ONE._replace(trade_id="8"), ONE._replace(trade_id="9", time_us=T0 + MINUTE_US)]
    count_lost(log, Demands(lost=(*lost, ONE._replace(trade_id="10", time_us=SPAN.until_us))), SPAN, findings)
    assert findings.lost_line() == "lost by the source: 3 trades in 2 minutes, 1 of them complete"
    assert Findings().lost_line() == ""
    assert (
        Findings(lost=1, lost_minutes=1).lost_line() == "lost by the source: 1 trade in 1 minute, none of them complete"
    )


def test_a_key_begins_with_its_first_begin_marker_and_the_trade_that_it_names() -> None:
    log = log_of()
    assert log.begun_with is None
    log.take_marker(T0, "begin", "6")
    log.take_marker(T0 + MINUTE_US, "ids", "8")
    log.take_marker(T0 + MINUTE_US, "begin", "8")
    assert (log.begun_us, log.begun_with, log.newest_us) == (T0, "6", T0 + MINUTE_US)
    assert log.marked == {T0 + MINUTE_US}


def test_a_feed_that_began_again_forgot_what_it_published_after_its_minute() -> None:
    log = log_of(ONE, ONE._replace(trade_id="8", time_us=T0 + MINUTE_US))
    log.take_marker(T0, "begin", "6")
    assert log.forgotten == set()
    log.take_marker(T0 + MINUTE_US, "begin", "7")
    log.ids.append("9")
    log.times_us.append(T0 + MINUTE_US + 1)
    assert log.forgotten == {"8"}


def test_stores_have_to_say_what_the_log_says_where_a_minute_may_say_more_than_one_thing() -> None:
    log = log_of()
    log.take_candle({"open_time_ms": 60_000, "status": "hole", "revision": 1})
    assert as_in_log({"open_time_ms": 60_000, "status": ("complete", "hole")}, log)["status"] == ("hole",)
    assert as_in_log({"open_time_ms": 60_000, "status": ("complete",)}, log)["status"] == ("complete",)
    assert as_in_log({"open_time_ms": 0, "status": ("complete", "hole")}, log)["status"] == ("complete", "hole")
