"""A member of the cold sink's group that reads in its own portions: python cold_member.py POLL_BATCHES FETCH_BYTES."""

import asyncio
import signal
import sys

from runtime.kafka import consumer
from runtime.settings import load_settings
from sinks import runner
from sinks.parquet.store import ParquetStore
from sinks.rolling_policy import RollingPolicy

FILE_RECORDS = 40
"""The same for all members: by it, a file's name and rows are decided."""


async def main() -> None:
    """Write until told to stop."""
    settings, stop = load_settings(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = runner.SinkConfig(rolling_policy=RollingPolicy(records=FILE_RECORDS))
    await runner.run_sink(settings, ParquetStore(settings), config, stop)


if __name__ == "__main__":
    runner.POLL_BATCHES, consumer.FETCH_BYTES = map(int, sys.argv[1:])
    asyncio.run(main())
