"""Captured frames through the adapter again: what is counted, and what is told."""

import json
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from candlewick import cli
from market.codec import decode_trade
from market.key import MarketKey
from market.trade import Trade
from producers.capture.lines import (
    CapturedLine,
    CaptureHeader,
    CutOff,
    EndedConnection,
    OpenedConnection,
    ReceivedFrame,
    SentFrame,
    UnreadableLine,
    received_line,
)
from producers.capture.playback import Playback
from producers.capture.reader import read_captures
from producers.capture.recorder import CaptureSettings, Recorder
from producers.capture.tally import MAX_REASONS, OTHER_REASONS, Reasons
from producers.exchanges import EXCHANGES
from producers.exchanges.binance import Binance
from runtime.settings import Settings
from runtime.telemetry import Meter

DATA = Path(__file__).parents[2] / "data"
MADE_MS = 1_672_515_782_000
BTC = MarketKey("binance", "BTC-USDT")
HEADER = CaptureHeader(exchange="binance", connection=0, symbols={"BTCUSDT": "BTC-USDT"})
BINANCE = Binance(Settings(_env_file=None))


def frame(number: int, *, symbol: str = "BTCUSDT", made_ms: int = MADE_MS, **changes: Any) -> bytes:
    times = {"E": made_ms + 1, "T": made_ms}
    event = {"e": "trade", "s": symbol, "t": number, "p": "0.001", "q": "100", "m": True, **times}
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": event | changes}).encode()


def received(content: bytes, after_ms: int = 5) -> ReceivedFrame:
    return ReceivedFrame((MADE_MS + after_ms) * 1000, content)


def replayed(*lines: Any, header: CaptureHeader | None = HEADER, **names: str) -> tuple[Playback, list[Trade]]:
    playback = Playback(lambda _: BINANCE, names)
    trades = [trade for line in lines for trade in playback.take(CapturedLine(line, header))]
    return playback, trades


def record(folder: Path, frames: Sequence[bytes]) -> None:
    folder.mkdir(exist_ok=True)
    recorder = Recorder(CaptureSettings(folder=folder, limit_bytes=10**8), "binance", Meter("produce"))
    connection = recorder.connection(0, HEADER.symbols)
    connection.opened("wss://x/stream", MADE_MS * 1000)
    for number, content in enumerate(frames):
        connection.received(content, (MADE_MS + 5 + number) * 1000)
    connection.ended("closed by the server, code 1006", (MADE_MS + 9_000) * 1000)
    recorder.close()


def test_trades_come_out_as_the_adapter_reads_them_and_each_id_once() -> None:
    playback, trades = replayed(*(received(frame(number)) for number in (7, 8, 8, 11, 10)))
    assert [trade.trade_id for trade in trades] == ["7", "8", "11", "10"]
    assert {(trade.market, trade.received_us) for trade in trades} == {(BTC, (MADE_MS + 5) * 1000)}
    tally = playback.tally.symbols[BTC]
    assert (tally.trades, tally.repeated, tally.missing) == (4, 1, [(9, 9)])
    assert (tally.first_us, tally.last_us) == (MADE_MS * 1000, MADE_MS * 1000)


def test_what_cannot_be_read_is_counted_with_its_reason_and_stops_nothing() -> None:
    lines = (
        received(frame(1, p="0")),
        received(frame(2, symbol="ETHUSDT")),
        received(b"<html>"),
        UnreadableLine(b"???", "it begins with no time and no address"),
        CutOff("a file", "it was not closed"),
        received(frame(3)),
    )
    playback, trades = replayed(*lines)
    tally = playback.tally
    assert [trade.trade_id for trade in trades] == ["3"]
    assert tally.frames == 4
    assert sorted(tally.refused.counts) == ["no subscription to 'ETHUSDT'", "price is 0: it has to be greater than 0"]
    assert len(tally.malformed) == len(tally.unreadable) == len(tally.cut_off) == 1


def test_connections_and_pauses_are_counted() -> None:
    lines = (
        OpenedConnection(MADE_MS * 1000, "wss://x"),
        SentFrame(MADE_MS * 1000, "wss://x", b"{}"),
        received(frame(1), 100),
        received(frame(2), 1_600),
        EndedConnection(ended_us=(MADE_MS + 2_000) * 1000, reason="no frame for 10 s"),
        OpenedConnection((MADE_MS + 90_000) * 1000, "wss://x"),
        received(frame(3), 90_000),
    )
    tally = replayed(*lines)[0].tally
    assert (tally.opened, tally.sent, dict(tally.ended.counts)) == (2, 1, {"no frame for 10 s": 1})
    assert tally.longest_pause_us == 1_500_000, "what lies between two connections is no pause"
    assert (tally.first_us, tally.last_us) == ((MADE_MS + 100) * 1000, (MADE_MS + 90_000) * 1000)


def test_clocks_that_cannot_be_right_are_told() -> None:
    lines = (
        received(frame(1), 50),
        received(frame(2), -3_000),  # received before it was made and sent
        received(frame(3, made_ms=MADE_MS - 8_000), 60),  # the exchange's clock goes back
    )
    tally = replayed(*lines)[0].tally
    assert (tally.received_back.count, tally.received_back.worst_us) == (1, 3_050_000)
    assert (tally.server_ahead.count, tally.server_ahead.worst_us) == (1, 3_001_000)
    assert (tally.trade_ahead.count, tally.trade_ahead.worst_us) == (1, 3_000_000)
    assert (tally.server_back.count, tally.server_back.worst_us) == (1, 8_000_000)
    assert (tally.least_lag_us, tally.greatest_lag_us) == (-3_001_000, 8_059_000)


def test_two_connections_have_two_clocks() -> None:
    playback = Playback(lambda _: BINANCE, {})
    for number, after_ms in ((0, 10_000), (1, 0), (0, 10_001)):
        header = CaptureHeader(exchange="binance", connection=number, symbols=HEADER.symbols)
        playback.take(CapturedLine(received(frame(after_ms, made_ms=MADE_MS + after_ms), after_ms + 5), header))
    assert (playback.tally.received_back.count, playback.tally.server_back.count) == (0, 0)
    assert playback.tally.longest_pause_us == 1_000


def test_a_file_that_tells_no_names_is_read_with_native_ones_or_those_that_are_given() -> None:
    lines = (received(frame(1)), received(frame(1, symbol="ETHUSDT")))
    _, trades = replayed(*lines, header=None, BTCUSDT="BTC-USDT")
    assert [trade.symbol for trade in trades] == ["BTC-USDT", "ETHUSDT"]


def test_reasons_are_bounded() -> None:
    reasons = Reasons()
    for number in range(10 * MAX_REASONS):
        reasons.add(f"reason {number}")
    assert len(reasons) == 10 * MAX_REASONS
    assert len(reasons.counts) == MAX_REASONS + 1
    assert reasons.counts[OTHER_REASONS] == 9 * MAX_REASONS


def test_the_command_prints_what_was_read_and_writes_the_trades(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [frame(7), frame(8), frame(12), frame(9, p="nan"), b"<html>", frame(12)]
    record(tmp_path / "frames", frames)
    jsonl = tmp_path / "trades.jsonl"
    assert cli.main(["playback", str(tmp_path / "frames"), "--jsonl", str(jsonl)]) == 0
    told = capsys.readouterr().out
    for words in (
        "binance:BTC-USDT", "7 to 12", "3 (9 to 11)",
        "6 frames, from 2022-12-31T19:43:02.005000Z to 2022-12-31T19:43:02.010000Z; 3 trades of 1 symbols",
        "1 connections were made, 1 ended, 0 frames were sent",
        "1 times: closed by the server, code 1006",
        "refused in place of trades: 1",
        "1 times: not a plain decimal of at most 40 + 40 digits: 'nan'",
        "frames that are none of the exchange: 1",
        "received behind the exchange's clock: 0.004 s to 0.009 s",
    ):  # fmt: skip
        assert words in told, words
    trades = [decode_trade(line) for line in jsonl.read_bytes().splitlines()]
    assert [(trade.symbol, trade.trade_id) for trade in trades] == [("BTC-USDT", number) for number in ("7", "8", "12")]


def test_a_killed_recorder_s_file_is_read_as_far_as_it_goes_and_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, [frame(number) for number in range(500)])
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-400])
    assert cli.main(["playback", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert f"cut off: {path}: it was not closed" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is no capture"),
        (["nowhere"], "nowhere is neither a file nor a folder"),
        (["{frames}", "--exchange", "nope"], "there is no exchange 'nope'"),
        (["{foreign}"], "does not say which exchange it is of: add --exchange"),
        (["{frames}", "--symbol", "BTCUSDT"], "is not NATIVE=OURS"),
        (["{frames}", "--speed", "0"], "give a number greater than 0"),
        (["{frames}", "--jsonl", "{foreign}"], "is there already"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    frames, foreign = tmp_path / "frames", tmp_path / "X.ws.1.0"
    record(frames, [frame(1)])
    foreign.write_bytes(received_line(MADE_MS * 1000, frame(1)))
    filled = [each.format(frames=frames, foreign=foreign) for each in arguments]
    assert cli.main(["playback", *filled]) == 2
    assert says in capsys.readouterr().err


def test_speed_keeps_the_recorded_pauses(tmp_path: Path) -> None:
    record(tmp_path, [frame(number) for number in range(100)])  # 1 ms from one to the next
    slow, fast = (_seconds_of(tmp_path, *words) for words in (("--speed", "0.2"), ()))
    assert slow >= 0.099 / 0.2 > fast


def _seconds_of(folder: Path, *words: str) -> float:
    began_s = time.monotonic()
    assert cli.main(["playback", str(folder), *words]) == 0
    return time.monotonic() - began_s


@pytest.mark.parametrize(
    ("name", "exchange", "trades"),
    [
        ("playback_binance_usdm.txt", "binance-usdm", {"CTKUSDT": 38, "AKROUSDT": 8, "SUSHIUSDT": 40, "KEEPUSDT": 5}),
        (
            "playback_coinbase.txt",
            "coinbase",
            {
                "BAND-GBP": 4, "SKL-GBP": 1, "NU-GBP": 1, "SKL-BTC": 8, "BAND-BTC": 8, "DASH-BTC": 15, "NMR-EUR": 8,
                "SKL-USD": 52,
            },
        ),
    ],
)  # fmt: skip
def test_real_captures_go_through_their_adapters(name: str, exchange: str, trades: dict[str, int]) -> None:
    """Numbers of `aggTrade` and `match` in the files, counted by grep; all ids of each symbol follow each other."""
    adapter = EXCHANGES[exchange](Settings(_env_file=None))
    playback = Playback(lambda _: adapter, {})
    for captured in read_captures([DATA / name]):
        playback.take(captured)
    tally = playback.tally
    assert (len(tally.malformed), len(tally.refused)) == (0, 0)
    for native, count in trades.items():
        symbol = tally.symbols[MarketKey(adapter.name, native)]
        assert symbol.trades in (count, count + 1), "Coinbase's last_match may count as a trade"
        assert symbol.missing == []


def test_what_counts_in_contracts_is_played_back_with_those_of_its_recording(tmp_path: Path) -> None:
    symbols, folder = {"BTC-USDT-SWAP": "BTC-USDT-PERP"}, tmp_path / "frames"
    folder.mkdir()
    recorder = Recorder(CaptureSettings(folder=folder, limit_bytes=10**8), "okx-swap", Meter("produce"))
    fill = {"instId": "BTC-USDT-SWAP", "tradeId": "7", "px": "42219.9", "sz": "3", "side": "buy", "ts": str(MADE_MS)}
    sent = {"arg": {"channel": "trades-all", "instId": "BTC-USDT-SWAP"}, "data": [fill]}
    connection = recorder.connection(0, symbols, {"BTC-USDT-SWAP": Decimal("0.01")})
    connection.received(json.dumps(sent).encode(), (MADE_MS + 5) * 1000)
    recorder.close()
    into = tmp_path / "trades.jsonl"
    assert cli.main(["playback", str(folder), "--jsonl", str(into)]) == 0
    [trade] = map(decode_trade, into.read_bytes().splitlines())
    assert (trade.key, trade.qty) == ("okx:BTC-USDT-PERP", Decimal("0.03"))
