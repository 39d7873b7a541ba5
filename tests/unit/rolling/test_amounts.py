"""Whole numbers, packed blocks and candles read by their form, against decimals, plain lists and the codec."""

import math
import random
from decimal import Decimal
from fractions import Fraction

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rolled import START, minute

from market.candle import Candle
from market.codec import decode_candle, encode_candle
from market.decimals import EXACT, plain
from market.errors import MalformedError
from market.timeframe import Timeframe
from processors.rolling.amounts import COARSEST, QUOTES, VOLUMES, Scale, quotient, text_of, texts_at, whole
from processors.rolling.block import Block, OpenBlocks
from processors.rolling.day import Day
from processors.rolling.minute import read_candle
from processors.rolling.sliding import squared_return
from processors.rolling.steps import candle_bytes
from processors.rolling.sums import Sum, joined, rescaled

NUMBERS = st.integers(0, 10**40)
IDS = st.one_of(st.none(), st.sampled_from(["0", "7", "007", "-1", "-2", "9" * 18, "9" * 19, "٣", "a"]))
SUMS = st.builds(Sum, *[NUMBERS] * 8, *[st.integers(0, 2**53)] * 2, st.integers(0, 4), IDS, IDS)
PLACES = st.sampled_from([0, 1, 4, 18, 22])


@given(places=st.lists(st.none() | SUMS, min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_packed_block_holds_the_same_sums(places: list[Sum | None]) -> None:
    block = Block(len(places))
    for place, value in enumerate(places):
        assert value is None or block.put(place, value)
    block.pack()
    assert not block.is_open
    assert block.places == places
    block.pack()
    assert block.places == places


def test_few_blocks_are_open_and_the_pinned_one_of_a_market_stays_so() -> None:
    blocks, held = OpenBlocks(2), [Block(3) for _ in range(5)]
    blocks.pin("a", held[0])
    for block in held:
        blocks.use(block)
    assert [block.is_open for block in held] == [True, False, False, True, True]
    blocks.pin("a", held[1])
    for block in held[1:3]:
        blocks.use(block)
    assert [block.is_open for block in held] == [True, True, True, False, False]


@given(number=st.integers(-(10**45), 10**45), places=PLACES)
def test_texts_are_canonical_and_read_back(number: int, places: int) -> None:
    text = text_of(number, places)
    value = Decimal(text)
    assert text == plain(value) == texts_at(places)(number)
    assert EXACT.scaleb(value, places) == number
    assert number < 0 or whole(text, places) == number


@given(above=st.integers(-(10**30), 10**30), below=st.integers(1, 10**20))
def test_a_quotient_is_rounded_half_even_once(above: int, below: int) -> None:
    assert quotient(above, below) == round(Fraction(above, below))  # Python rounds half to even


@given(before=st.integers(1, 10**33), after=st.integers(1, 10**33))
def test_a_squared_return_is_that_of_the_logarithm(before: int, after: int) -> None:
    log = math.log(Fraction(after, before))
    assert math.isclose(squared_return(before, after) / 10**24, log * log, rel_tol=1e-9, abs_tol=1e-22)


@given(price=st.integers(10**15, 10**24), change=st.floats(-0.2, 0.2))
def test_small_returns_too(price: int, change: float) -> None:
    after = max(1, round(price * (1 + change)))
    log = math.log1p(float(Fraction(after - price, price)))
    assert math.isclose(squared_return(price, after) / 10**24, log * log, rel_tol=1e-9, abs_tol=1e-22)


def sum_of(candle: Candle, scale: Scale) -> Sum:
    """The candle's values at a scale, out of its decimals."""
    amounts = (
        candle.open, candle.high, candle.low, candle.close,
        candle.volume, candle.quote_volume, candle.taker_buy_volume, candle.taker_buy_quote_volume,
    )  # fmt: skip
    places = [scale.volume if n in VOLUMES else scale.quote if n in QUOTES else scale.price for n in range(8)]
    numbers = [Fraction(amount) * 10**digits for amount, digits in zip(amounts, places, strict=True)]
    assert all(number.denominator == 1 for number in numbers)
    ids = candle.first_trade_id, candle.last_trade_id
    return Sum(*map(int, numbers), candle.trades, candle.revision, candle.status.rank, *ids)


@pytest.mark.parametrize("known", [COARSEST, Scale(18, 18, 22), Scale(1, 9, 0)], ids=str)
def test_a_sum_has_its_markets_scale_or_a_finer_one(known: Scale) -> None:
    candle = decode_candle(minute(random.Random(5), START, 7))
    read = read_candle(encode_candle(candle), {candle.key: known})
    assert all(finer >= places for finer, places in zip(read.scale, known, strict=True))
    assert read.sum == sum_of(candle, read.scale)
    finest = Scale(18, 18, 22)
    assert rescaled(read.sum, read.scale, finest) == sum_of(candle, finest)


CHANGES = [
    {}, {"open": "007.50"}, {"volume": "-1"}, {"volume": "1e3"}, {"volume": "1_0"}, {"volume": ""}, {"volume": ".5"},
    {"high": "0"}, {"low": "0"}, {"low": "9" * 15}, {"high": "1" + "0" * 15}, {"open": "1." + "0" * 25},
    {"volume": "0." + "1" * 18}, {"volume": "0." + "1" * 19}, {"quote_volume": "0." + "1" * 22},
    {"trades": -1}, {"trades": "1"}, {"trades": 2**53}, {"revision": None}, {"status": "best"}, {"first_trade_id": ""},
    {"first_trade_id": "a\nb"}, {"first_trade_id": "x" * 129}, {"symbol": "A|B"}, {"exchange": ""}, {"extra": 1},
    {"timeframe": "5m"}, {"timeframe": "9m"}, {"open_time_ms": START + 1}, {"close_time_ms": START}, {"volume": 1},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_is_read_by_its_form_is_what_the_codec_says(change: dict[str, object]) -> None:
    fields = orjson.loads(minute(random.Random(3), START, 7)) | change
    value = orjson.dumps(fields)
    try:
        candle = decode_candle(value)
    except MalformedError:
        with pytest.raises(MalformedError):
            read_candle(value, {})
        return
    read = read_candle(value, {})
    wanted = sum_of(candle, read.scale)
    assert read == (candle.key, candle.timeframe, candle.open_time_ms, wanted, read.scale)


@given(seed=st.integers(0, 2**32), timeframe=st.sampled_from(list(Timeframe)))
def test_a_candle_of_whole_numbers_has_the_codec_s_bytes(seed: int, timeframe: Timeframe) -> None:
    open_ms = timeframe.open_ms(START)
    times = {"timeframe": timeframe, "open_time_ms": open_ms, "close_time_ms": timeframe.end_ms(open_ms) - 1}
    candle = decode_candle(minute(random.Random(seed), START, 7, **times))
    for scale in (Scale(18, 18, 22), read_candle(encode_candle(candle), {}).scale):
        assert candle_bytes(candle.key, timeframe, open_ms, sum_of(candle, scale), scale) == encode_candle(candle)


def test_hours_are_summed_up_without_leaving_their_minutes_unpacked() -> None:
    day, at = Day(), random.Random(2)
    for number in range(150):
        read = read_candle(minute(at, START + number * 60_000, number), {"binance:BTC-USDT": Scale(18, 18, 22)})
        block = day.put(number, read.sum)
    assert block is not None
    first, second = day.minutes(0), day.minutes(1)
    assert first is not None
    assert second is not None
    first.pack()
    changed = read_candle(minute(at, START, 999), {"binance:BTC-USDT": Scale(18, 18, 22)}).sum
    day.put(0, changed)
    first.pack()
    hours = day.hours().places
    assert [first.is_open, second.is_open] == [False, True]
    assert hours[0] == joined([value for value in first.places if value])
    assert hours[1] is not None
    assert hours[2] is None
