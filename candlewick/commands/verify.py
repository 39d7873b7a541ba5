"""``candlewick verify``: data held against what they must equal: klines, a simulator's record, or a recomputation."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import orjson
from cyclopts import Parameter
from rich.table import Table

from candlewick.commands.run import report
from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.pipeline.verification import verify_again
from candlewick.reading import watching
from candlewick.recompute.comparison import compare_recomputation
from candlewick.reconcile.compare import Discrepancy
from candlewick.reconcile.reconcile import Asked, reconcile
from candlewick.reconcile.repair import repair as repair_all
from candlewick.reconcile.repair import repair_json, repair_sentence
from candlewick.reconcile.report import Reconciliation, as_json, detail_rows, notes, verdict
from candlewick.tables import print_table
from deploy.local.plan import Extra
from producers.backfill.symbol import Backfilled
from runtime import lifecycle
from runtime.errors import CandlewickError, UsageError, WrongDataError
from runtime.settings import Settings
from runtime.telemetry import configure_logs

WITH_POSTGRES = Parameter(name="--with", negative="", help="look at a store besides the usual ones: postgres")
MAX_ROWS = 50
"""At most so many differences are printed; JSON has more."""


def verify(
    exchange: Annotated[str | None, Parameter(help="hold candles against this exchange's own klines")] = None,
    /,
    *symbols: Annotated[str, Parameter(help="such as BTC-USDT, or as the exchange writes it: BTCUSDT")],
    from_: Annotated[datetime | None, Parameter(name="--from", help="first minute to compare")] = None,
    to: Annotated[datetime | None, Parameter(help="end of the minutes to compare; unset: now")] = None,
    json: Annotated[bool, Parameter(negative="", help="print the comparison as JSON")] = False,
    repair: Annotated[
        bool, Parameter(negative="", help="fetch the trades of the minutes that differ again, as runs")
    ] = False,
    with_: Annotated[tuple[Extra, ...], WITH_POSTGRES] = (),
    replay: Annotated[
        str | None, Parameter(help="hold the live 1m candles against those that candles --into NAME recomputed")
    ] = None,
    common: Common = NONE_GIVEN,
) -> int:
    """Hold data against what they must equal. Exit code 3 where something differs.

    With EXCHANGE, SYMBOLS and --from: the newest revision of each of our 1m candles against the exchange's own klines,
    field by field. A minute is the same, or missing here, or missing there, or its fields differ. What the exchange
    does not give is not compared, and minutes that ended within the last two minutes are left out. Where our candle is
    not complete, a difference is expected; it is told, and counts as one. A DATETIME is ISO 8601, UTC where it names no
    zone. With --repair the trades of the minutes that differ are fetched again and published as runs, at least 15
    minutes behind live data; once candles are made of them, the same command shows what it did.

    Without arguments: Kafka, ClickHouse, Parquet and Redis (and PostgreSQL, where it is asked for) against the record
    of the simulator that the data came from. Only the simulator is started for it, with the seed that the data folder
    remembers. The sinks must have caught up, and Parquet's open files must have ended, as after `candlewick run` or
    `candlewick sink parquet --once`.

    With --replay: the recomputed candles of a range against the live ones, on any data: key, value and headers of every
    revision, byte for byte.

    ```
    candlewick verify binance BTC-USDT ETH-USDT --from 2026-01-31T00:00Z --to 2026-02-01T00:00Z
    candlewick verify binance BTC-USDT --from 2026-01-31T12:00Z --json
    candlewick verify binance BTC-USDT --from 2026-01-31T12:00Z --repair
    candlewick verify
    candlewick verify --replay fix1
    ```
    """
    asked = None if exchange is None else Asked(exchange, symbols, from_, to)
    if asked is None and (from_ or to or json or repair):
        raise UsageError(
            "--from, --to, --json and --repair are for an exchange: candlewick verify binance BTC-USDT --from …"
        )
    if with_ and (asked or replay):
        raise UsageError("--with is for the comparison with the simulator: candlewick verify --with postgres")
    if asked is not None and replay is not None:
        raise UsageError("--replay compares with a recomputation, EXCHANGE with its klines: give one of the two")
    settings = common.settings()
    if asked is not None:
        grace_s = lifecycle.GRACE_S if repair else 1.0
        return lifecycle.run(lambda stop: _reconcile(settings, asked, stop, json=json, repair=repair), grace_s=grace_s)
    return lifecycle.run(lambda _: _verify(settings, replay, postgres=Extra.POSTGRES in with_), grace_s=1.0)


app = single_command("verify", verify)


async def _verify(settings: Settings, replay: str | None, *, postgres: bool) -> int:
    if replay is None:
        return report(await verify_again(settings, postgres=postgres))
    comparison = await compare_recomputation(settings, replay)
    sys.stdout.write("".join(f"{line}\n" for line in comparison.lines()))
    return 0 if comparison.right else WrongDataError.exit_code


async def _reconcile(settings: Settings, asked: Asked, stop: asyncio.Event, *, json: bool, repair: bool) -> int:
    configure_logs(settings)
    repaired: list[Backfilled] = []
    with watching("verify", settings) as watch:
        result = await reconcile(settings, asked, watch)
        try:
            if repair:
                await repair_all(settings, asked.exchange, result, watch=watch, report=repaired.append, stop=stop)
        finally:  # what was compared and repaired is told even if the rest fails
            _tell(result, repaired if repair else None, json=json)
    if result.differing:
        return WrongDataError.exit_code
    return 0 if result.compared else CandlewickError.exit_code


def _tell(result: Reconciliation, repaired: Sequence[Backfilled] | None, *, json: bool) -> None:
    if json:
        told = as_json(result) | ({} if repaired is None else {"repaired": [repair_json(each) for each in repaired]})
        sys.stdout.write(orjson.dumps(told).decode() + "\n")
        return
    _print(result)
    sys.stdout.write("".join(f"{repair_sentence(each)}\n" for each in repaired or ()))


def _print(result: Reconciliation) -> None:
    print_table(_summary(result))
    rows = [row for market in result.markets for row in detail_rows(market)]
    if rows:
        table = Table("symbol", "minute (UTC)", "what", "status", "ours", "theirs")
        for row in rows[:MAX_ROWS]:
            table.add_row(*row)
        if len(rows) > MAX_ROWS:
            table.caption = "the first differences; --json has more"
        print_table(table)
    sys.stdout.write("".join(f"{sentence}\n" for sentence in (*notes(result), verdict(result))))


def _summary(result: Reconciliation) -> Table:
    table = Table("symbol", "same", "quiet", *(kind.value for kind in Discrepancy), "expected", "not given")
    for market in result.markets:
        counts = (market.same, market.quiet, *market.counts.values(), market.expected, market.not_given)
        table.add_row(str(market.key), *(f"{count:,}" for count in counts))
    return table
