"""``candlewick sink``: from Kafka into a store."""

from collections.abc import Callable
from typing import Annotated

from cyclopts import App, Parameter, validators

from candlewick.common import NONE_GIVEN, Common
from candlewick.stage import begin_stage
from candlewick.stage_flags import InstanceId, SkipLostRecords
from runtime.lifecycle import run
from runtime.settings import Settings
from sinks.rolling_policy import FILE_RECORDS, RollingPolicy
from sinks.runner import SinkConfig, run_sink
from sinks.store import Store

app = App(name="sink", help="Write trades, candles and tickers into a store.")

_Once = Annotated[bool, Parameter(help="read to the end of the topics as they are now, commit, exit")]


@app.command
def redis(*, once: _Once = False, instance_id: InstanceId = None, common: Common = NONE_GIVEN) -> None:
    """Keep Redis hot: the latest trades, candles, tickers, funding rates, instruments, signals and bars.

    ```
    candlewick sink redis
    CANDLEWICK_REDIS=redis://10.0.0.5:6379 candlewick sink redis
    ```
    """
    from sinks.redis.store import RedisStore  # noqa: PLC0415  # a sink does not load the clients of the others

    _run("sink.redis", RedisStore, SinkConfig(once=once, instance_id=instance_id), common)


@app.command
def clickhouse(
    *,
    once: _Once = False,
    accept_truncation: SkipLostRecords = False,
    instance_id: InstanceId = None,
    common: Common = NONE_GIVEN,
) -> None:
    """Write trades, 1m candles, tickers and all else into ClickHouse; makes the tables.

    ```
    candlewick sink clickhouse
    candlewick sink clickhouse --once
    ```
    """
    from sinks.clickhouse.store import ClickHouseStore  # noqa: PLC0415

    config = SinkConfig(once=once, accept_truncation=accept_truncation, instance_id=instance_id)
    _run("sink.clickhouse", ClickHouseStore, config, common)


@app.command
def parquet(
    *,
    once: _Once = False,
    accept_truncation: SkipLostRecords = False,
    instance_id: InstanceId = None,
    file_records: Annotated[
        int,
        Parameter(
            help="a file ends after so many records at the latest; never change it for existing data",
            validator=validators.Number(gte=1),
        ),
    ] = FILE_RECORDS,
    common: Common = NONE_GIVEN,
) -> None:
    """Write every trade, 1m candle, funding rate, feed event, instrument, signal and bar into Parquet files.

    ```
    candlewick sink parquet
    CANDLEWICK_COLD=s3://bucket/candlewick candlewick sink parquet --once
    ```

    With --once, and when it is told to stop, it first asks for open files to be ended (a `roll` record) and writes
    them.
    """
    from sinks.parquet.store import ParquetStore  # noqa: PLC0415

    config = SinkConfig(
        once=once,
        accept_truncation=accept_truncation,
        instance_id=instance_id,
        rolling_policy=RollingPolicy(records=file_records),
    )
    _run("sink.parquet", ParquetStore, config, common)


@app.command
def postgres(
    *,
    once: _Once = False,
    accept_truncation: SkipLostRecords = False,
    instance_id: InstanceId = None,
    common: Common = NONE_GIVEN,
) -> None:
    """Write trades, 1m candles, tickers and all else into PostgreSQL; makes the tables.

    ```
    candlewick sink postgres
    CANDLEWICK_POSTGRES=postgresql://candlewick:…@10.0.0.5/market candlewick sink postgres --once
    ```

    Where the database has the extension timescaledb, the tables are hypertables.
    """
    from sinks.postgres.store import PostgresStore  # noqa: PLC0415

    config = SinkConfig(once=once, accept_truncation=accept_truncation, instance_id=instance_id)
    _run("sink.postgres", PostgresStore, config, common)


def _run(stage: str, store: Callable[[Settings], Store], config: SinkConfig, common: Common) -> None:
    settings = begin_stage(stage, common)
    run(lambda stop: run_sink(settings, store(settings), config, stop))
