"""``candlewick produce --record`` as a process that is killed; what it leaves is played back and imported."""

import asyncio
import subprocess
import sys
from pathlib import Path

from eventually import eventually
from feed_log import read_log
from feeding import Exchange

from market.codec import decode_trade


async def program(environment: dict[str, str], *words: object) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "candlewick", *map(str, words),
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    assert b"Traceback" not in said, said.decode()
    return process.returncode, said.decode()


async def test_a_killed_producer_s_recording_is_played_back_and_imported(
    exchange: Exchange, environment: dict[str, str], tmp_path: Path
) -> None:
    folder, jsonl = tmp_path / "frames", tmp_path / "trades.jsonl"
    async with exchange() as settings:
        hosts = {"CANDLEWICK_BINANCE_WS": settings.binance_ws, "CANDLEWICK_BINANCE_REST": settings.binance_rest}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "candlewick", "produce", "binance", "SOLUSDT", "LTCUSDT", "--record", str(folder),
            env=environment | hosts, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

        async def enough() -> bool:
            logs = await read_log(settings)
            return len(logs) == 2 and all(len(log.closed) >= 8 for log in logs.values())

        try:
            await eventually(enough, timeout_s=60, every_s=0.3)
        finally:
            process.kill()
            await process.communicate()
        logs = await read_log(settings)
    code, said = await program(environment, "playback", folder, "--jsonl", jsonl)
    assert code == 0, said
    [file] = folder.iterdir()
    for words in (
        f"cut off: {file}: it was not closed",
        "binance:SOL-USDT",
        "binance:LTC-USDT",
        "1 connections were made",
    ):
        assert words in said
    played = [decode_trade(line) for line in jsonl.read_bytes().splitlines()]
    for symbol, log in logs.items():
        published = {trade["trade_id"] for trade in log.trades if trade["source"] == "ws"}
        ids = {trade.trade_id for trade in played if trade.symbol == symbol}
        lost = {int(number) for number in published - ids}
        assert not lost or min(lost) > max(map(int, ids)), "only the last half second may be missing"
        assert len(ids) > 20
    other = environment | {"CANDLEWICK_PREFIX": f"{settings.prefix}again."}  # a pipeline without live data
    assert (await program(other, "topics", "apply"))[0] == 0
    code, said = await program(other, "import", jsonl, "--symbol", "SOL-USDT")
    assert code == 0, said
    again = (await read_log(settings.model_copy(update={"prefix": other["CANDLEWICK_PREFIX"]})))["SOL-USDT"]
    imported = [trade["trade_id"] for trade in again.trades]
    recorded = [trade.trade_id for trade in played if trade.symbol == "SOL-USDT"]
    first = recorded.index(imported[0])
    assert imported == recorded[first : first + len(imported)], "whole minutes, without the first and the last"
    assert len(imported) > len(recorded) / 2
    assert {minute.proof for minute in again.closed} == {"ids"}
