"""The newest trades that the API gives, against the log."""

from collections.abc import Sequence

from candlewick.verify.check import StoredTrade
from candlewick.verify.findings import Findings
from candlewick.verify.log import KeyLog
from candlewick.verify.served import NEWEST_TRADES, ServedTrade, check_newest_trades

KEY = "binance:BTC-USDT"


def log_of(trades: Sequence[tuple[str, int]]) -> KeyLog:
    log = KeyLog()
    for trade_id, time_us in trades:
        log.ids.append(trade_id)
        log.digests.append(hash((trade_id, time_us)))
        log.times_us.append(time_us)
    return log


def answer(*trades: tuple[str, int]) -> list[ServedTrade]:
    return [ServedTrade(StoredTrade(trade_id, hash((trade_id, time_us))), time_us) for trade_id, time_us in trades]


def counted(log: KeyLog, answered: Sequence[ServedTrade]) -> dict[str, int]:
    findings = Findings()
    check_newest_trades(KEY, log, answered, findings)
    return {kind.value: count for kind, count in findings.counts.items() if count}


def test_all_trades_of_a_short_log_have_to_be_there_in_order_and_those_of_one_time_in_any() -> None:
    log = log_of([("1", 10), ("3", 30), ("2", 10), ("3", 30)])
    assert counted(log, answer(("3", 30), ("2", 10), ("1", 10))) == {}
    assert counted(log, answer(("3", 30), ("1", 10), ("2", 10))) == {}
    assert counted(log, answer(("3", 30), ("1", 10))) == {"missing": 1}
    assert counted(log, answer(("1", 10), ("3", 30), ("2", 10))) == {"different": 1}
    assert counted(log, []) == {"missing": 3}


def test_of_a_long_log_no_newer_trade_may_lack() -> None:
    times = [(str(number), number) for number in range(NEWEST_TRADES + 50)]
    newest = times[::-1][:NEWEST_TRADES]
    assert counted(log_of(times), answer(*newest)) == {}
    assert counted(log_of(times), answer(*newest[:3], *newest[4:], times[49])) == {"missing": 1}
    assert counted(log_of([*times, ("late", 7)]), answer(*newest)) == {}


def test_a_trade_may_be_there_once_and_unchanged_as_it_was_told_first() -> None:
    log = log_of([("1", 10), ("1", 11)])
    assert counted(log, answer(("1", 10))) == {}
    assert counted(log, answer(("1", 11))) == {"different": 1}
    assert counted(log, answer(("1", 10), ("1", 10))) == {"duplicate": 1}
    assert counted(log, answer(("2", 10), ("1", 10))) == {"different": 1}
