"""What is told, from which thresholds on: the defaults, and a file that changes them. Pure."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from market.errors import MalformedError
from market.limits import check_key
from processors.signals.market_day import DAY_MINUTES

_Level = Annotated[float, Meta(ge=0, le=1e9)]
_WindowMinutes = Annotated[int, Meta(ge=10, le=DAY_MINUTES)]
_Every = Annotated[int, Meta(ge=1, le=DAY_MINUTES)]
_Share = Annotated[float, Meta(ge=0, lt=10_000)]


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signal begins at `enter`, ends at `leave`, and is a warning or critical from these levels on."""

    enter: _Level
    leave: _Level
    warning: _Level
    critical: _Level


class ScoreRules(Thresholds, frozen=True, kw_only=True):
    """Of a z-score against the market's own last day."""

    robust: bool = True
    """Median and absolute deviations from it; false: mean and standard deviation."""
    min_minutes: Annotated[int, Meta(ge=2, le=DAY_MINUTES)] = 240
    """So many values of the last day are needed."""


class RegimeRules(Thresholds, frozen=True, kw_only=True):
    """Of the realised variance of the last hour against the median of the last day's hours."""

    min_hours: Annotated[int, Meta(ge=1, le=24)] = 6
    min_returns: Annotated[int, Meta(ge=1, le=60)] = 45
    """So many returns make an hour count."""


class StaleRules(Thresholds, frozen=True, kw_only=True):
    """Of the minutes without trades, in mean gaps between the traded minutes of the last day."""

    min_silent_minutes: Annotated[int, Meta(ge=1, le=DAY_MINUTES)] = 5
    min_traded_minutes: Annotated[int, Meta(ge=1, le=DAY_MINUTES)] = 30


class OutlierRules(Thresholds, frozen=True, kw_only=True):
    """Of a close against the median of the same symbol on all exchanges, in basis points."""

    min_exchanges: Annotated[int, Meta(ge=3, le=1000)] = 3


class SpreadRules(Thresholds, frozen=True, kw_only=True):
    """Of one symbol on two exchanges, in basis points after the fees of both sides."""

    default_fee_bps: _Share = 10.0
    fees_bps: dict[str, _Share] = msgspec.field(default_factory=dict)
    """By exchange, what a taker pays."""


class CorrelationRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of chosen pairs of markets."""

    pairs: list[tuple[str, str]] = msgspec.field(default_factory=list)
    windows_minutes: list[_WindowMinutes] = msgspec.field(default_factory=lambda: [60, DAY_MINUTES])
    every_minutes: _Every = 5


class MatrixRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the markets with the greatest volume in the last day."""

    top: Annotated[int, Meta(ge=0, le=40)] = 20
    """0: no matrix."""
    quotes: list[str] = msgspec.field(default_factory=lambda: ["USDT", "USD", "USDC"])
    """Markets in these quotes are compared: volumes in others are no dollars."""
    window_minutes: _WindowMinutes = DAY_MINUTES
    every_minutes: _Every = 5


class SignalRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules; one table for each kind, by its name."""

    barrier_s: Annotated[float, Meta(ge=0, le=600)] = 20.0
    """How long a minute waits for markets that had a candle of the minute before, on the log clock."""
    volume_zscore: ScoreRules = ScoreRules(enter=4.5, leave=2.5, warning=6, critical=8)
    return_zscore: ScoreRules = ScoreRules(enter=10, leave=5, warning=15, critical=25)
    volatility_regime: RegimeRules = RegimeRules(enter=6, leave=3, warning=12, critical=24)
    stale: StaleRules = StaleRules(enter=10, leave=1, warning=30, critical=120)
    price_outlier: OutlierRules = OutlierRules(enter=50, leave=25, warning=100, critical=300)
    spread: SpreadRules = SpreadRules(enter=10, leave=0, warning=30, critical=100)
    correlation: CorrelationRules = CorrelationRules()
    correlation_matrix: MatrixRules = MatrixRules()


def rules_of(given: Mapping[str, Any]) -> SignalRules:
    """The defaults, with the fields of a file (as nested mappings) on top; `MalformedError` says what is wrong."""
    merged = _over(msgspec.to_builtins(SignalRules()), given)
    try:
        rules = msgspec.convert(merged, SignalRules)
    except msgspec.ValidationError as error:
        raise MalformedError(str(error)) from error
    for kind, thresholds in thresholds_of(rules):
        if not thresholds.leave <= thresholds.enter <= thresholds.warning <= thresholds.critical:
            raise MalformedError(f"{kind}: leave, enter, warning and critical have to be in rising order")
    for pair in rules.correlation.pairs:
        for key in pair:
            exchange, _, symbol = key.partition(":")
            check_key(exchange, symbol)
        if pair[0] == pair[1]:
            raise MalformedError(f"correlation: {pair[0]} is paired with itself")
    return rules


def as_toml(rules: SignalRules) -> str:
    """The rules as a file that `rules_of` reads back."""
    return "\n".join(_lines(msgspec.to_builtins(rules), "")) + "\n"


def _over(defaults: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for name, value in given.items():
        before = defaults.get(name)
        merged[name] = _over(before, value) if isinstance(before, dict) and isinstance(value, Mapping) else value
    return merged


def thresholds_of(rules: SignalRules) -> Iterator[tuple[str, Thresholds]]:
    """Each kind that has a level, with its thresholds."""
    for kind in rules.__struct_fields__:
        of_kind = getattr(rules, kind)
        if isinstance(of_kind, Thresholds):
            yield kind, of_kind


def _lines(table: Mapping[str, Any], name: str) -> Iterator[str]:
    if name:
        yield f"\n[{name}]"
    for field, value in table.items():
        if not isinstance(value, dict):
            yield f"{field} = {_toml(value)}"
    for field, value in table.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{name}.{field}" if name else field)


def _toml(value: Any) -> str:
    return msgspec.json.encode(value).decode()
