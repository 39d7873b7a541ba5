"""The snippets of README and docs run as they stand, against real stores that hold what the pages speak of."""

import asyncio
import re
import shlex
import sys
from pathlib import Path

import pytest
from dumps import simulated, zipped
from everywhere import run_all
from written import ticker, trade, write

from market.topics import Topics
from runtime.settings import Settings, clickhouse_address, kafka_address, redis_address
from sinks.redis.store import RedisStore

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/stores.md", "docs/history.md")
FILE = "BTCUSDT-trades-2024-05-01.csv"
MAY_1_MS, ROWS = 1_714_521_600_000, 3000


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page that are marked with this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """A working folder like a user's: the dump in it, and the cold store where the local stack has it."""
    (tmp_path / ".candlewick").mkdir()
    (tmp_path / ".candlewick" / "cold").symlink_to(tmp_path / "cold")
    assert settings.cold == (tmp_path / "cold").as_uri()
    dump = simulated(tmp_path, "BTCUSDT", "trades", "2024-05-01", MAY_1_MS, 1)
    dump.write_text("".join(dump.read_text().splitlines(keepends=True)[:ROWS]))
    zipped(dump, tmp_path)
    return tmp_path


async def ran(folder: Path, environment: dict[str, str], *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, f"{command[-1]}\n{errors.decode()}"
    return out.decode()


@pytest.mark.usefixtures("longer_candles")
async def test_every_snippet_runs_and_shows_the_newest_candle(
    folder: Path, topics: Topics, settings: Settings, environment: dict[str, str]
) -> None:
    (command,) = blocks("docs/history.md", "sh")
    program, *words = shlex.split(command)
    assert program == "candlewick"
    assert "imported: " in await ran(folder, environment, sys.executable, "-m", "candlewick", *words)
    await run_all(settings)
    await write(RedisStore(settings), topics.trades, [trade(number) for number in range(9)])
    await write(RedisStore(settings), topics.tickers, [ticker("BTC-USDT", 1)])

    own = {
        "redis://127.0.0.1:6379/0": redis_address(settings),
        "127.0.0.1:9092": kafka_address(settings),
        "http://127.0.0.1:8123": clickhouse_address(settings),
        '"candlewick"': f'"{settings.clickhouse_database}"',
        '"md.': f'"{settings.prefix}md.',
        '"cw:': f'"{settings.prefix}cw:',
    }
    snippets = {page: [_with(own, block) for block in blocks(page, "python")] for page in PAGES}
    assert {page: len(found) for page, found in snippets.items()} == {
        "README.md": 4, "docs/stores.md": 3, "docs/history.md": 1
    }  # fmt: skip
    everything = [(page, code) for page, found in snippets.items() for code in found]
    printed = await asyncio.gather(*(ran(folder, environment, sys.executable, "-c", code) for _, code in everything))
    newest_price = (folder / FILE).read_text().split("\n")[-2].split(",")[1].rstrip("0").rstrip(".")
    for (page, code), output in zip(everything, printed, strict=True):
        assert newest_price in output, f"{page}\n{code}\n{output}"
    redis = next(output for (_, code), output in zip(everything, printed, strict=True) if "cw:trades" in code)
    assert redis.count("27000.1") == 5
    assert '"windows"' in redis


def _with(own: dict[str, str], code: str) -> str:
    for shown, actual in own.items():
        code = code.replace(shown, actual)
    return code
