"""The one-machine stack as a whole: up, down, status, reset.

Ports: the first `up` takes the usual ones (9092, 6379, 8123, 5432), or the next free ones where another program has
them. Later `up`s take the same ones again. A port given by a setting must be free.
"""

import json
import shutil
import time
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event

from filelock import FileLock, Timeout

from deploy.local import plan
from deploy.local.layout import Layout, read_layout, write_layout, write_whole
from deploy.local.plan import Extra, choose_ports
from deploy.local.process import POLL_S, ServerProcess
from deploy.local.server import Progress, Server, masked, process_of
from runtime.errors import CandlewickError, UsageError
from runtime.settings import Settings, stack_file

LOCK_PATIENCE_S = 180.0
_STOP_S = 20.0
_DATA = ("kafka-*", "redis", "clickhouse", "postgres", "cold", "logs", "run", "run.json", "layout.json")


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the servers are, started here or set by a setting; the addresses of databases may hold a password."""

    kafka: str
    redis: str = field(repr=False)
    clickhouse: str = field(repr=False)
    cold: str
    postgres: str | None = field(default=None, repr=False)
    """None: it was never asked for."""

    def given(self) -> dict[str, str]:
        """Part → address, of those that there are."""
        return {part: address for part, address in asdict(self).items() if address is not None}


def up(
    settings: Settings,
    *,
    brokers: int | None = None,
    extras: Collection[Extra] = (),
    progress: Progress = lambda _: None,
) -> Addresses:
    """Start what is not running, wait until each server answers, and write down their addresses.

    Args:
        settings: a server whose address is set is not started.
        brokers: Kafka nodes, 1 to 9; unset: as many as the last time, or 1. Fixed until `reset`.
        extras: servers to start besides the usual ones; those of an earlier `up` need not be named again.
        progress: told one sentence for each thing that is done.

    Raises:
        UsageError: a given port is in use, the number of brokers is another than before, or the home cannot be one.
        CandlewickError: a server is not installed or does not start; says why, and where its log is.
    """
    home = settings.home.absolute()
    require_startable(settings, extras)
    with _locked(home, progress):
        layout = choose_ports(home, settings, _layout(home, brokers), extras)
        write_layout(home, layout)
        servers = plan.servers(home, settings, layout)
        _start_all(servers, progress)
        addresses = _addresses(home, settings, servers)
        write_whole(stack_file(settings), json.dumps(addresses.given()))
    return addresses


def down(settings: Settings, *, progress: Progress = lambda _: None) -> None:
    """Stop every server that runs; data stay."""
    home = settings.home.absolute()
    with _locked(home, progress):
        _stop_all(home, progress)


def reset(settings: Settings, *, progress: Progress = lambda _: None) -> None:
    """Stop every server and delete all data of the stack; downloads stay in the cache."""
    home = settings.home.absolute()
    with _locked(home, progress):
        _stop_all(home, progress)
        for path in (path for pattern in _DATA for path in home.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        progress(f"deleted the data in {home}")


def started(home: Path) -> list[ServerProcess]:
    """The processes that the stack in `home` has ever started, running or not."""
    return [process_of(home, path.stem) for path in sorted((home / "run").glob("*.pid"))]


def require_startable(settings: Settings, extras: Collection[Extra] = ()) -> None:
    """Check what can be checked before anything is written: the folder's name, and the programs of all servers.

    Raises:
        UsageError: the folder cannot be the home of a stack.
        CandlewickError: a server that has to be started is not installed.
    """
    _require_usable(settings.home.absolute())
    plan.require_installed(settings, extras)


def _require_usable(home: Path) -> None:
    """Kafka separates its folders by commas, and ClickHouse ends its own at a ``?``: they would write elsewhere.

    Java has no way to name a folder whose name is not UTF-8 (``Cs`` are Python's stand-ins for such bytes).
    """
    unusable = sorted({char for char in str(home) if char in ",?" or unicodedata.category(char) in {"Cc", "Cs"}})
    if unusable:
        raise UsageError(
            f"the folder {str(home)!r} cannot be the home of a stack: its name holds {', '.join(map(repr, unusable))}; "
            "set CANDLEWICK_HOME to a folder without"
        )


@contextmanager
def _locked(home: Path, progress: Progress) -> Iterator[None]:
    """One command at a time; the system releases the lock when its holder ends, however it ends."""
    lock = FileLock(home / "stack.lock", fallback_to_soft=False, preserve_lock_file=True, poll_interval=POLL_S)
    try:
        home.mkdir(parents=True, exist_ok=True)
        _acquire(lock, progress)
    except Timeout:
        raise CandlewickError(
            f"another candlewick stack command has been at work in {home} for {LOCK_PATIENCE_S:.0f} s: "
            "end it and try again"
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot write to {home} ({error.strerror}): set CANDLEWICK_HOME to a folder of yours"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, progress: Progress) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress("waiting for another candlewick stack command to end")
        lock.acquire(timeout=LOCK_PATIENCE_S)


def _layout(home: Path, brokers: int | None) -> Layout:
    layout = read_layout(home)
    if layout is None:
        return Layout(brokers=brokers or 1)
    if brokers and brokers != layout.brokers:
        raise UsageError(
            f"the stack in {home} was made with {layout.brokers} broker(s), not {brokers}: leave --brokers away, "
            "give another --home, or drop it with candlewick stack reset"
        )
    return layout


def _start_all(servers: list[Server], progress: Progress) -> None:
    given_up = Event()
    with ThreadPoolExecutor(len(servers) or 1) as pool:
        try:
            for done in as_completed([pool.submit(_start, server, progress, given_up) for server in servers]):
                done.result()
        except BaseException:
            given_up.set()  # nobody waits for the others any more
            raise


def _start(server: Server, progress: Progress, given_up: Event) -> None:
    name = server.process.name
    began = time.monotonic()
    if not server.process.alive():
        server.process.start(server.prepare(progress))
    elif server.answers():
        return progress(f"{name} runs at {masked(server.address)}")
    deadline = time.monotonic() + server.start_s
    while not server.answers():
        if given_up.wait(POLL_S):
            return None
        if not server.process.alive():
            raise CandlewickError(
                f"{name} ended while it was starting: its log {server.process.log} says\n{server.process.last_words()}"
            )
        if time.monotonic() > deadline:
            raise CandlewickError(
                f"{name} has not answered for {server.start_s:.0f} s: see {server.process.log}, then run "
                "candlewick stack down and candlewick stack up"
            )
    return progress(f"{name} ready at {masked(server.address)} after {time.monotonic() - began:.1f} s")


def _stop_all(home: Path, progress: Progress) -> None:
    (home / "stack.json").unlink(missing_ok=True)
    processes = started(home)
    with ThreadPoolExecutor(len(processes) or 1) as pool:
        stopped = pool.map(lambda process: process.stop(_STOP_S), processes)
        for process, was_running in zip(processes, stopped, strict=True):
            if was_running:
                progress(f"{process.name} stopped")


def _addresses(home: Path, settings: Settings, servers: Iterable[Server]) -> Addresses:
    here = {server.process.name: server.address for server in servers}
    cold = home / "cold"
    if not settings.cold:
        cold.mkdir(exist_ok=True)
    return Addresses(
        kafka=settings.kafka or ",".join(address for name, address in here.items() if name.startswith("kafka")),
        redis=settings.redis.get_secret_value() if settings.redis else here["redis"],
        clickhouse=settings.clickhouse.get_secret_value() if settings.clickhouse else here["clickhouse"],
        cold=settings.cold or cold.as_uri(),
        postgres=settings.postgres.get_secret_value() if settings.postgres else here.get(Extra.POSTGRES),
    )
