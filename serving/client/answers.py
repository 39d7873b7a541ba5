"""The API's answers as typed values: amounts are exact decimals, times as their names say. Pure.

Records have the types of their topics (`market`), but for candles: they may be of any length. Members that a later
server adds are passed over.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Generic, TypeVar

from msgspec import Struct

from market.candle import Status
from market.fields import Count, Name, TimeMs, TimeUs
from market.key import OfMarket
from market.ticker import Ticker
from market.trade import Trade
from serving.client.frames import Framed
from serving.planner import Tier

Record = TypeVar("Record", bound=Struct)


class ApiCandle(OfMarket, frozen=True, kw_only=True, gc=False):
    """A candle of any length, in the fields of `md.candles.*.v1`."""

    timeframe: Name
    open_time_ms: TimeMs
    close_time_ms: TimeMs
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: Count
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    first_trade_id: Name | None = None
    last_trade_id: Name | None = None
    revision: Count
    status: Status
    minutes_covered: Count | None = None
    """How many of its minutes it is made of; None: all."""
    minutes_missing: Count | None = None


class ApiSpan(Struct, frozen=True, kw_only=True):
    """[from_ms, until_ms), UTC milliseconds."""

    from_ms: TimeMs
    until_ms: TimeMs


class ApiSourceRange(ApiSpan, frozen=True, kw_only=True):
    """Candles of one tier, or ``warm+cold``."""

    tier: str


class ApiSource(Struct, frozen=True, kw_only=True):
    """Where candles come from, and which tiers did not answer."""

    ranges: list[ApiSourceRange]
    away: list[Tier]


class ApiCoverage(ApiSpan, frozen=True, kw_only=True):
    """Which candles of the time asked for are there; `worst_status` and `statuses` are of those."""

    expected: int
    present: int
    missing: list[ApiSpan]
    statuses: dict[Status, int]
    worst_status: Status | None
    minutes_expected: int
    minutes_present: int


class ApiCandles(Struct, Framed, frozen=True, kw_only=True):
    """Candles, oldest first, and what is missing between them."""

    exchange: str
    symbol: str
    timeframe: str
    candles: list[ApiCandle]
    source: ApiSource
    coverage: ApiCoverage
    next_from_ms: int | None
    record_type = ApiCandle

    def __iter__(self) -> Iterator[ApiCandle]:
        return iter(self.candles)


class ApiTimesRange(Struct, frozen=True, kw_only=True):
    """Trades in [from_us, until_us), UTC microseconds, that one tier gave."""

    tier: Tier
    from_us: TimeUs
    until_us: TimeUs
    count: int


class ApiTradesSource(Struct, frozen=True, kw_only=True):
    """Where trades come from, and which tiers did not answer."""

    ranges: list[ApiTimesRange]
    away: list[Tier]


class ApiIdRange(Struct, frozen=True, kw_only=True):
    """Ids from `first` to `last`, both there."""

    first: str
    last: str


class ApiTradesCoverage(Struct, frozen=True, kw_only=True):
    """[from_us, until_us), UTC microseconds; the ids between, None where they are no numbers."""

    from_us: TimeUs
    until_us: TimeUs
    id_ranges: list[ApiIdRange] | None


class ApiTrades(Struct, Framed, frozen=True, kw_only=True):
    """The latest trades, newest first. Without any there is no coverage."""

    exchange: str
    symbol: str
    trades: list[Trade]
    source: ApiTradesSource
    coverage: ApiTradesCoverage | None
    record_type = Trade

    def __iter__(self) -> Iterator[Trade]:
        return iter(self.trades)


class ApiTickersSource(Struct, frozen=True, kw_only=True):
    """Symbol → tier, and the tiers that did not answer."""

    symbols: dict[str, Tier]
    away: list[Tier]


class ApiTickersCoverage(Struct, frozen=True, kw_only=True):
    """Of how many of the symbols there is a ticker."""

    expected: int
    present: int
    missing: list[str]
    worst_status: Status | None


class ApiTickers(Struct, Framed, frozen=True, kw_only=True):
    """The newest ticker of each symbol that has one; each window says how complete it is."""

    exchange: str
    tickers: list[Ticker]
    source: ApiTickersSource
    coverage: ApiTickersCoverage
    record_type = Ticker

    def __iter__(self) -> Iterator[Ticker]:
        return iter(self.tickers)


class ApiRecordsCoverage(ApiSpan, frozen=True, kw_only=True):
    """How many records a page has of the time up to `until_ms`.

    Of trades, it says how complete they are by the candles of their minutes; `lacking` are minutes that lack some.
    """

    present: int
    statuses: dict[Status, int] = {}
    lacking: list[ApiSpan] = []
    lacking_minutes: int = 0


class ApiPage(Struct, Generic[Record], frozen=True, kw_only=True):
    """Records, oldest first; `source` is as the API tells it. Without a `next_cursor` they are the last.

    Instruments have no coverage.
    """

    records: list[Record]
    source: dict[str, Any]
    coverage: ApiRecordsCoverage | None
    next_cursor: str | None


class ApiDay(Struct, frozen=True, kw_only=True):
    """How many minutes of a UTC day (``2026-01-31``) have a candle, and of which status; how many each tier has."""

    date: str
    minutes_present: int
    statuses: dict[Status, int]
    tiers: dict[Tier, int]


class ApiDays(Struct, frozen=True, kw_only=True):
    """What the stores hold of a market, by day; days without any candle are left out."""

    exchange: str
    symbol: str
    days: list[ApiDay]
    tiers: dict[Tier, list[ApiSpan]]
    """Where each may hold candles."""
    unread: list[ApiSpan]
    """What was not looked into."""
    source: dict[str, Any]


class ApiExchanges(Struct, frozen=True, kw_only=True):
    """The exchanges that have instruments."""

    exchanges: list[str]
    source: dict[str, Any]


class ApiReachable(Struct, frozen=True, kw_only=True):
    """Whether a tier answers."""

    reachable: bool


class ApiHealth(Struct, frozen=True, kw_only=True):
    """``ok``, ``degraded`` or ``down``, and each tier."""

    status: str
    tiers: dict[Tier, ApiReachable]


class ApiTierEstimate(Struct, frozen=True, kw_only=True):
    """What a tier would be asked; without `rows` it cannot tell how many."""

    tier: Tier
    rows: int | None
    spans: list[ApiSpan]


class ApiRestore(Struct, frozen=True, kw_only=True):
    """What has to be brought back from an archive first."""

    bytes: int
    cost: Decimal


class ApiEstimate(Struct, frozen=True, kw_only=True):
    """How much a question would give at most. `one_stream`: few enough rows for one stream."""

    rows: int
    bytes: int
    tiers: list[ApiTierEstimate]
    restore: ApiRestore
    one_stream: bool


class ApiTokens(Struct, frozen=True, kw_only=True):
    """What a model's answer cost; estimated where the model server did not tell."""

    prompt: int
    answer: int
    estimated: bool


class ApiOpinion(Struct, frozen=True, kw_only=True):
    """What a model says, and what of the statistics it was not shown. It was cut where `finish` is ``length``."""

    text: str
    model: str
    finish: str | None
    left_out: list[str]
    tokens: ApiTokens


class ApiAnalysis(Struct, frozen=True, kw_only=True):
    """Statistics as docs/analysis.md describes them, and what a model says of them; None: none was asked."""

    statistics: dict[str, Any]
    analysis: ApiOpinion | None
