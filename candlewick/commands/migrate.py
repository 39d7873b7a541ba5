"""``candlewick migrate``: make or migrate a store's tables, before the sinks start."""

import asyncio
import itertools
import sys

from cyclopts import App

from candlewick.common import NONE_GIVEN, Common
from runtime.backoff import pause_s
from runtime.errors import UnavailableError
from runtime.settings import clickhouse_address

_LONGEST_PAUSE_S = 15.0

app = App(name="migrate", help="Make or migrate a store's tables, and check them.")


@app.command
async def clickhouse(*, common: Common = NONE_GIVEN) -> None:
    """Bring ClickHouse's tables to this version, and check that nobody altered them; harmless to repeat.

    ```
    candlewick migrate clickhouse
    ```

    The sink does the same when it starts, if its user may. Trades of an earlier version are copied partition by
    partition, about a million a second: stop its sinks first. After an interruption, what is done is not done again.
    It waits for a ClickHouse that is away, and for another process that migrates.
    """
    from sinks.clickhouse.migrate import SchemaKeeper  # noqa: PLC0415  # the client is loaded where it is asked
    from sinks.clickhouse.schema import SCHEMA_VERSION  # noqa: PLC0415

    settings = common.settings()
    keeper = SchemaKeeper(clickhouse_address(settings), settings.clickhouse_database)
    for failures in itertools.count():
        try:
            await keeper.bring_up_to_date()
        except UnavailableError as error:
            wait_s = max(pause_s(failures, longest_s=_LONGEST_PAUSE_S), error.retry_after_s)
            sys.stderr.write(f"{error}; again in {wait_s:.0f} s\n")
            await asyncio.sleep(wait_s)
        else:
            break
    sys.stdout.write(f"the tables of {settings.clickhouse_database} are of schema {SCHEMA_VERSION}\n")
