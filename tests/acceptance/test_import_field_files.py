"""Files as they are met in the field, by ``candlewick import`` and the engine on the real Kafka."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from candle_engine import read_all
from stack_commands import candlewick

from market.topics import Topics
from runtime.kafka import ends
from runtime.settings import Settings

CASES = Path(__file__).parents[1] / "data" / "cases"
ZERO = CASES / "zero-price" / "QAGUSDT-trades-2024-09-26.csv"
SEP_26 = 1_727_308_800_000
JUN_1 = 1_717_200_000_000
OCT_10 = 1_760_054_400_000


async def traded_candles(settings: Settings) -> dict[tuple[str, int], Any]:
    """By key and open time what the trades of a minute came to."""
    found = {}
    for record in await read_all(settings, settings.topics.candles()):
        candle = orjson.loads(record.value or b"")
        if candle["trades"]:
            values = tuple(candle[name] for name in ("open", "high", "low", "close", "volume", "trades"))
            found[f"{candle['exchange']}:{candle['symbol']}", candle["open_time_ms"]] = values
    return found


async def test_what_the_field_offers_becomes_its_candles(
    environment: dict[str, str], settings: Settings, topics: Topics
) -> None:
    for words in (
        [CASES / "futures" / "BTCUSD_PERP-trades-2024-06-01.csv", "--symbol", "BTC-USD-PERP"],
        [CASES / "futures" / "BTCUSDT_240628-trades-2024-06-01.csv"],
        [CASES / "non-ascii" / "币安人生USDT-trades-2025-10-10.csv", "--symbol", "币安人生-USDT"],
        [ZERO, "--skip-bad"],
    ):
        done = candlewick("import", *map(str, words), **environment)
        assert done.returncode == 0, done.stderr
    assert candlewick("candles", "--once", **environment).returncode == 0
    assert await traded_candles(settings) == {
        ("binance:BTC-USD-PERP", JUN_1): ("67000.1", "67000.1", "67000.1", "67000.1", "0.00597", 1),
        ("binance:BTC-USD-PERP", JUN_1 + 60_000): ("67000.2", "67000.2", "67000.2", "67000.2", "0.00149", 1),
        ("binance-trades:BTC-USDT-240628", JUN_1): ("67000.1", "67000.1", "67000.1", "67000.1", "0.01", 1),
        ("binance-trades:BTC-USDT-240628", JUN_1 + 60_000): ("67000.2", "67000.2", "67000.2", "67000.2", "0.02", 1),
        ("binance:币安人生-USDT", OCT_10): ("0.31", "0.32", "0.31", "0.32", "150", 2),
        ("binance:币安人生-USDT", OCT_10 + 60_000): ("0.33", "0.33", "0.33", "0.33", "10", 1),
        ("binance:QAG-USDT", SEP_26): ("63219.4", "63226", "63219.4", "63226", "0.3", 2),
        ("binance:QAG-USDT", SEP_26 + 60_000): ("63225.9", "63225.9", "63225.9", "63225.9", "0.3", 1),
    }
    dead = await read_all(settings, topics.dead_letters(topics.trades))
    assert [dict(record.headers)["import.line"] for record in dead] == [b"2", b"4"]


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize(
    ("file", "said"),
    [
        (CASES / "zips" / "QALUSDT-trades-2024-05-01.zip", "is not the file that QALUSDT-trades-2024-05-01.zip.CHECK"),
        (ZERO, f"{ZERO} line 2 is not a trade: price is 0"),
    ],
)
async def test_a_file_that_is_not_right_is_one_sentence_and_nothing_is_published(
    file: Path, said: str, environment: dict[str, str], settings: Settings
) -> None:
    done = candlewick("import", str(file), **environment)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert sum(end.next for end in (await ends(settings, settings.topics.trades)).values()) == 0
