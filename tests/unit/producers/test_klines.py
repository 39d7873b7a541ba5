"""Where a minute's trades cannot be had, the exchange's own kline stands in."""

from decimal import Decimal

from symbol_world import BEGUN, MINUTE_US, START_US, TIMEOUT_S, World

from market.given_candle import GivenCandle
from market.trade import Marker, Proof
from producers.feed.klines import LAG_S, MAX_MINUTES, PATIENCE_S, KlineRequest, Klines


def kline(minute: int) -> GivenCandle:
    one = Decimal(1)
    open_ms = (START_US + minute * MINUTE_US) // 1000
    return GivenCandle(open_time_ms=open_ms, open=one, high=one, low=one, close=one, volume=one)


def with_a_hole() -> World:
    """Trades 6 and 7, of minutes 0 and 1, are in no history; the feed has given them up."""
    world = World(
        Marker(
            complete_until_us=START_US, published_until_us=START_US, proof=Proof.IDS,
            last_trade_id=str(BEGUN), last_price=Decimal(5),
        ),
        gives_klines=True,
    )  # fmt: skip
    world.trades = []
    world.skip(0)
    world.trades.clear()
    world.connect()
    world.trade(130_000_000, number=8)
    world.history = lambda _: []
    world.ask_all()
    world.now_s += TIMEOUT_S
    world.tick(MINUTE_US)
    return world


def answer(world: World, *minutes: int) -> KlineRequest:
    request = world.feed.klines.next_request(world.now_s)
    assert request is not None
    world.feed.klines.answer(request, [kline(minute) for minute in minutes], world.now_s)
    world.tick(0)
    return request


def test_markers_wait_for_the_klines_of_minutes_with_a_hole() -> None:
    world = with_a_hole()
    assert world.proofs() == {}
    assert world.feed.klines.next_request(world.now_s + LAG_S - 1) is None, "a kline may be late"
    assert not world.feed.is_caught_up
    world.now_s += LAG_S
    assert answer(world, 0, 1, 2) == KlineRequest(START_US, START_US + 3 * MINUTE_US)
    assert world.proofs() == dict.fromkeys(range(3), Proof.KLINE)
    assert [marker.kline for marker in world.markers[-3:]] == [kline(0), kline(1), kline(2)]
    world.tick(MINUTE_US)
    assert world.proofs()[3] is Proof.IDS


def test_a_kline_that_the_exchange_does_not_give_leaves_a_hole() -> None:
    world = with_a_hole()
    world.now_s += LAG_S
    answer(world, 0, 2)
    assert world.proofs() == {0: Proof.KLINE}, "in order"
    world.now_s += PATIENCE_S
    world.tick(0)
    assert world.proofs() == {0: Proof.KLINE, 1: Proof.HOLE, 2: Proof.KLINE}


def test_an_exchange_that_does_not_answer_is_not_waited_for_long() -> None:
    world = with_a_hole()
    world.now_s += LAG_S + PATIENCE_S
    world.tick(0)
    assert world.proofs() == dict.fromkeys(range(3), Proof.HOLE)
    assert not world.feed.klines.is_waiting


def test_requests_are_no_longer_than_an_exchange_answers_and_come_less_often() -> None:
    klines = Klines(lag_s=0.0)
    klines.want([START_US + minute * MINUTE_US for minute in range(MAX_MINUTES + 50)], 0.0, TIMEOUT_S)
    request = klines.next_request(0.0)
    assert request == KlineRequest(START_US, START_US + MAX_MINUTES * MINUTE_US)
    klines.in_flight = True
    assert klines.next_request(0.0) is None
    pauses, now_s = [], 0.0
    for _ in range(4):
        klines.answer(request, None, now_s)
        asked_s = next(now_s + tenth / 10 for tenth in range(10_000) if klines.next_request(now_s + tenth / 10))
        pauses.append(asked_s - now_s)
        now_s = asked_s
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]
    klines.answer(request, [kline(minute) for minute in range(MAX_MINUTES)], now_s)
    later = klines.next_request(now_s + 1.0)
    assert later == KlineRequest(START_US + MAX_MINUTES * MINUTE_US, START_US + (MAX_MINUTES + 50) * MINUTE_US)
