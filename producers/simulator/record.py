"""The simulator's own record of a market's trades, and how their ids stand in it."""

from collections.abc import Callable
from typing import NamedTuple

from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument

_BOOL = ("false", "true")


def own_id(_: SimulatedInstrument, match: Match) -> str:
    """The market's own id."""
    return str(match.trade_id)


class RecordForm(NamedTuple):
    """What a protocol's record of ``BTCUSDT`` is: of its aggregates or its trades, and with which ids."""

    of_aggregates: bool = False
    trade_id: Callable[[SimulatedInstrument, Match], str] = own_id


OWN_RECORD = RecordForm()


def record_row(market: SimulatedInstrument, match: Match, form: RecordForm = OWN_RECORD) -> str:
    """A line of the record: id, price, qty, time_us, is_buyer_maker."""
    price, qty = market.price(match.ticks), market.qty(match.lots)
    trade_id = form.trade_id(market, match)
    return f"{trade_id},{price},{qty},{match.time_ms}000,{_BOOL[match.buyer_is_maker]}"
