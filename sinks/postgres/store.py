"""Writing to PostgreSQL: rows are copied into a staging table, and from there moved by key, in one transaction."""

import io
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncio
import pyarrow as pa

from market.records import Record
from runtime.errors import UnavailableError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, postgres_address
from sinks.encoded import Encoded
from sinks.halving import refused_among
from sinks.postgres.connect import (
    MonthMissingError,
    Pool,
    ValuesRefusedError,
    connect,
    disconnect,
    postgres_errors,
)
from sinks.postgres.encode import as_csv, encode_rows, encode_trades
from sinks.postgres.migrate import migrate, migrations
from sinks.postgres.retention import keep_days
from sinks.postgres.tables import CANDLES, FEEDS, FUNDING, INSTRUMENTS, TABLES, TICKERS, TRADES, PostgresTable
from sinks.store import Batch, Pace, RejectedError
from sinks.trade_rows import TradeRows

