"""The feed of a symbol whose ids prove nothing: trades, breaks, pages of the newest trades, in any order."""

from hypothesis import given
from hypothesis import strategies as st
from text_world import LAST, MINUTE_US, PAGE_TRADES, SECOND_US, START_US, TextWorld, begun_in_text

from market.feed import FeedEventKind
from market.trade import Proof
from producers.feed.known_ids import KnownIds
from producers.feed.text_symbol import LAG_S

after = st.sampled_from([0, 0, 1_000, 300_000, 700_000, 2_000_000, 20_000_000, 45_000_000, 70_000_000])
what_happens = st.sampled_from(
    ["trade"] * 6 + ["late", "unreadable", "spoiled", "again"] + ["tick"] * 3 + ["up"] * 4 + ["down"] * 2 + ["crash"]
    + ["ask"] * 6 + ["slow", "slow", "no answer", "old answer", "short answer"]
)  # fmt: skip


@given(begins=st.booleans(), steps=st.lists(st.tuples(what_happens, after), min_size=20, max_size=80))
def test_whatever_happens_no_minute_is_called_connected_that_lacks_a_trade(*, begins: bool, steps: list) -> None:
    world = TextWorld() if begins else begun_in_text()
    for what, after_us in steps:
        if what in ("trade", "late", "unreadable", "spoiled"):
            trade = world.trade(after_us, held=what == "late", unreadable=what in ("unreadable", "spoiled"))
            if what == "spoiled":
                world.spoiled.add(trade.trade_id)
        elif what in ("ask", "slow", "no answer", "old answer", "short answer"):
            world.tick(after_us)
            world.ask(
                answered=what != "no answer",
                slow=what == "slow",
                behind_us=900_000 if what == "old answer" else 0,
                known=2 if what == "short answer" else PAGE_TRADES,
            )
        elif what == "again":
            if world.up and world.delivered:
                old = world.delivered[-min(len(world.delivered), 1 + after_us % 7)]
                world.live(next(trade for trade in world.trades if trade.trade_id == old))
        elif what == "tick":
            world.tick(after_us)
        elif what == "crash":
            world.crash()
        elif (what == "up") != world.up:
            world.connect() if what == "up" else world.disconnect()
    if not world.up:
        world.connect()
    world.trade(SECOND_US)
    world.ask_all()
    world.tick(2 * MINUTE_US)
    world.check()
    assert world.feed.is_caught_up
    assert world.markers[-1].proof is Proof.CONNECTION
    assert world.markers[-1].complete_until_us > world.server_us - MINUTE_US - SECOND_US
