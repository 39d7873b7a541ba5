"""The whole pipeline on an exchange that is wrong in every way at once, with parts of it killed; then verified.

No minute that lacks a trade says `complete`, and no minute says less without a cause: that is the verifier's to find,
by the simulator's own record (`candlewick/verify/demands.py`).
"""

import re
from pathlib import Path

import pytest
from stack_commands import own_stack

# Each often enough to happen many times in a run, and seldom enough to leave whole minutes between.
FAULTS = [
    "short_history=120",
    "drop_every_s=15",
    "drop_for_s=4",
    "shutdown_every_s=50",
    "rest_429_every_s=60",
    "rest_429_s=2",
    "skip=0.001",
    "duplicate=0.01",
    "delay=0.005",
    "reorder=0.005",
    "zero=0.0003",
    "absurd_time=0.0002",
    "truncated=0.1",
    "disordered=0.1",
    "repeated=0.1",
    "broken_row=0.05",
    "withhold_every_s=45",
    "jump_every_s=5",
    "lack_every_s=7",
    "lack_ids=20",
    "spoil_every_s=45",
    "retell_every_s=7",
    "retell_ids=20",
    "reset_every_s=90",
]
KILLS = ("candles=21", "produce=27", "sink.clickhouse=31")
LOST = re.compile(r"^lost by the source: [\d,]+ trades? in [\d,]+ minutes?, none of them complete$", re.MULTILINE)
VERIFIED = re.compile(
    r"^verified: (\d+) trades, (\d+) candles, \d+ candles of \d+ longer timeframes, \d+ tickers, "
    r"0 missing, 0 duplicate, 0 different$",
    re.MULTILINE,
)


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("clock", [("clock_every_s=8",), ("clock_every_s=25", "clock_for_s=3")])
def test_a_source_that_is_wrong_in_every_way_is_never_complete_over_what_is_missing(
    tmp_path: Path, clock: tuple[str, ...]
) -> None:
    faults = [word for fault in (*FAULTS, *clock) for word in ("--fault", fault)]
    kills = [word for kill in KILLS for word in ("--kill", kill)]
    symbols = "BTCUSDT,ETHUSDT,SOLUSDT,LTCUSDT,XRPETH"
    with own_stack(tmp_path) as candlewick:
        run = ("run", "--headless", "--for", "4m", "--speed", "60", "--symbols", symbols)
        ran = candlewick(*run, *faults, *kills, CANDLEWICK_FILL_TIMEOUT_S="6")
        found = VERIFIED.search(ran.stdout)
        assert found, ran.stdout[-5_000:]
        assert int(found[2]) > 500
        assert LOST.search(ran.stdout)

        assert candlewick("stack", "up").returncode == 0
        again = VERIFIED.search(candlewick("verify").stdout)
        assert again
        assert again[0] == found[0]
