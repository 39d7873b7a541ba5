"""What a verification says when it comes early: too little to verify is told apart from nothing there."""

from candlewick.verify.findings import FindingKind, Findings


def test_a_run_too_short_for_any_whole_minute_is_right_and_says_so() -> None:
    findings = Findings(young=3)
    assert findings.right
    assert findings.summary().startswith("nothing to verify yet: the run was too short")
    assert findings.young_line() == ""


def test_symbols_without_a_whole_minute_are_counted_beside_what_was_verified() -> None:
    findings = Findings(young=2, trades=5, candles=1)
    assert findings.right
    rolled = "0 candles of 0 longer timeframes, 0 tickers"
    assert findings.summary() == f"verified: 5 trades, 1 candles, {rolled}, 0 missing, 0 duplicate, 0 different"
    assert findings.young_line() == "too early to verify 2 symbols: no whole minute of market time yet"


def test_too_short_excuses_nothing_that_is_wrong_and_no_empty_verification() -> None:
    assert not Findings().right
    findings = Findings(young=3)
    findings.add(FindingKind.DIFFERENT, "a trade")
    assert not findings.right
    assert findings.summary().startswith("NOT verified")
