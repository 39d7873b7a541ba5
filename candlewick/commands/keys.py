"""``candlewick keys``: the API keys of ``candlewick serve``."""

import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
from cyclopts import App, Parameter
from rich.table import Table

from candlewick.common import NONE_GIVEN, SPAN, Common
from candlewick.tables import print_table
from serving.access.key_file import change_keys, keys_path, read_keys
from serving.access.keys import KEY_BYTES, ApiDataset, ApiKey, RateTier, hash_of, key_text, sorted_or_none

app = App(name="keys", help="The API keys of candlewick serve, in the file CANDLEWICK_KEYS.")

_Name = Annotated[str, Parameter(help="the key's name")]
_Exchanges = Annotated[
    tuple[str, ...],
    Parameter(
        help="the exchanges that it may ask for; without: all", consume_multiple=True, negative="", show_default=False
    ),
]
_Datasets = Annotated[
    tuple[ApiDataset, ...],
    Parameter(
        help="the data that it may ask for; without: all", consume_multiple=True, negative="", show_default=False
    ),
]


@app.command
def add(
    name: Annotated[str, Parameter(help="whose it is, or what for: up to 64 letters, digits, dots, _ and -")],
    *,
    tier: Annotated[RateTier, Parameter(help="how much it may ask in a minute")] = RateTier.FREE,
    exchanges: _Exchanges = (),
    datasets: _Datasets = (),
    common: Common = NONE_GIVEN,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept.

    ```
    candlewick keys add alice
    candlewick keys add bob --tier pro --exchanges binance okx --datasets candles tickers
    KEY=$(candlewick keys add robot --tier enterprise)
    curl -H "Authorization: Bearer $KEY" 'localhost:8080/v1/candles?exchange=binance&symbol=BTC-USDT'
    ```
    """
    text = key_text(secrets.token_bytes(KEY_BYTES))
    key = ApiKey(
        name=name,
        sha256=hash_of(text),
        tier=tier,
        exchanges=sorted_or_none(exchanges),
        datasets=sorted_or_none(datasets),
        created_ms=_now_ms(),
    )
    change_keys(keys_path(common.settings()), lambda ring: ring.with_key(key))
    _show_once(text)


@app.command(name="list")
def show(*, json: Annotated[bool, Parameter(help="print them as JSON")] = False, common: Common = NONE_GIVEN) -> None:
    """Show all keys, the revoked ones too; never a key itself.

    ```
    candlewick keys list
    candlewick keys list --json
    ```
    """
    keys = read_keys(keys_path(common.settings())).keys
    if json:
        entries = [
            {
                "name": key.name, "tier": key.tier, "exchanges": key.exchanges, "datasets": key.datasets,
                "created_ms": key.created_ms, "until_ms": key.until_ms,
            }
            for key in keys
        ]  # fmt: skip
        sys.stdout.write(orjson.dumps(entries).decode() + "\n")
        return
    table = Table("name", "tier", "exchanges", "data", "made (UTC)", "valid until (UTC)")
    for key in keys:
        table.add_row(
            key.name, key.tier, ", ".join(key.exchanges or ("all",)), ", ".join(key.datasets or ("all",)),
            _utc(key.created_ms), "" if key.until_ms is None else _utc(key.until_ms),
        )  # fmt: skip
    print_table(table)


@app.command
def revoke(name: _Name, *, common: Common = NONE_GIVEN) -> None:
    """Revoke a key: servers refuse it within a second. Its name is not given again.

    ```
    candlewick keys revoke bob
    ```
    """
    now_ms = _now_ms()
    change_keys(keys_path(common.settings()), lambda ring: ring.revoked(name, now_ms))


@app.command
def rotate(
    name: _Name,
    *,
    grace: Annotated[timedelta, SPAN, Parameter(help="how long the key before is still valid")] = timedelta(days=1),
    common: Common = NONE_GIVEN,
) -> None:
    """Make a new key in place of one and print it; both are one caller for a while.

    ```
    candlewick keys rotate bob
    candlewick keys rotate bob --grace 1h
    ```
    """
    text, now_ms = key_text(secrets.token_bytes(KEY_BYTES)), _now_ms()
    until_ms = now_ms + grace // timedelta(milliseconds=1)
    change_keys(
        keys_path(common.settings()),
        lambda ring: ring.rotated(name, hash_of(text), now_ms=now_ms, until_ms=until_ms),
    )
    _show_once(text)


def _show_once(text: str) -> None:
    """The key alone on standard output, for programs to take; the sentence beside it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    sys.stderr.write("keep it: it is not shown again\n")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
