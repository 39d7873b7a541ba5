"""The one-machine stack as a whole: up, down, status, reset.

Ports: the first `up` takes the usual ones (9092, 6379, 8123), or the next free ones where another program has them,
and later `up`s take the same again. A port given by a setting must be free.
"""

import fcntl
import json
import shutil
import time
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event

from deploy.local import plan
from deploy.local.layout import Layout, read_layout, write_layout, write_whole
from deploy.local.part import Progress, Server, process
from deploy.local.plan import choose_ports
from deploy.local.process import POLL_S, ServerProcess
from runtime.errors import CandlewickError, UsageError
from runtime.settings import Settings, stack_file

LOCK_PATIENCE_S = 180.0
_STOP_S = 20.0
_DATA = ("kafka-*", "redis", "clickhouse", "cold", "logs", "run", "run.json", "layout.json")


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the parts are, started here or set by a setting; those of Redis and ClickHouse may hold a password."""

    kafka: str
    redis: str = field(repr=False)
    clickhouse: str = field(repr=False)
    cold: str


def up(settings: Settings, *, brokers: int | None = None, progress: Progress = lambda _: None) -> Addresses:
    """Start what is not running, wait until each part answers, and write down where they are.

    Args:
        settings: a part whose address is set is not started.
        brokers: Kafka nodes, 1 to 9; unset: as many as the last time, or 1. Fixed until `reset`.
        progress: told one sentence for each thing that is done.

    Raises:
        UsageError: a given port is in use, the number of brokers is another than before, or the home cannot be one.
        CandlewickError: a part does not start; says why and where its log is.
    """
    home = settings.home.absolute()
    _require_usable(home)
    with _locked(home, progress):
        layout = choose_ports(home, settings, _layout(home, brokers))
        write_layout(home, layout)
        parts = plan.parts(home, settings, layout)
        _start_all(parts, progress)
        addresses = _addresses(home, settings, parts)
        write_whole(stack_file(settings), json.dumps(asdict(addresses)))
    return addresses


def down(settings: Settings, *, progress: Progress = lambda _: None) -> None:
    """Stop every part that runs, in order where it can be; data stay."""
    home = settings.home.absolute()
    with _locked(home, progress):
        _stop_all(home, progress)


def reset(settings: Settings, *, progress: Progress = lambda _: None) -> None:
    """Stop every part and delete all data of the stack; downloads stay in the cache."""
    home = settings.home.absolute()
    with _locked(home, progress):
        _stop_all(home, progress)
        for path in (found for pattern in _DATA for found in home.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        progress(f"deleted the data in {home}")


def started(home: Path) -> list[ServerProcess]:
    """The processes that the stack in `home` has ever started, running or not."""
    return [process(home, path.stem) for path in sorted((home / "run").glob("*.pid"))]


def _require_usable(home: Path) -> None:
    """Kafka parts its folders by commas, and ClickHouse ends its own at a ``?``: they would write elsewhere.

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
    """One command at a time; the kernel lets go of the lock when its holder ends, however it ends."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / "stack.lock").open("a")
    except OSError as error:
        raise UsageError(
            f"cannot write to {home} ({error.strerror}): set CANDLEWICK_HOME to a folder of yours"
        ) from None
    with file:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        told = False
        while True:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CandlewickError(
                        f"another candlewick stack command has been at work in {home} for {LOCK_PATIENCE_S:.0f} s: "
                        "end it and try again"
                    ) from None
                if not told:
                    progress("waiting for another candlewick stack command to end")
                    told = True
                time.sleep(POLL_S)
        yield


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


def _start_all(parts: list[Server], progress: Progress) -> None:
    given_up = Event()
    with ThreadPoolExecutor(len(parts) or 1) as pool:
        try:
            for done in as_completed([pool.submit(_start, part, progress, given_up) for part in parts]):
                done.result()
        except BaseException:
            given_up.set()  # nobody waits for the others then
            raise


def _start(part: Server, progress: Progress, given_up: Event) -> None:
    name = part.process.name
    began = time.monotonic()
    if not part.process.alive():
        part.process.start(part.prepare(progress))
    elif part.answers():
        return progress(f"{name} runs at {part.address}")
    deadline = time.monotonic() + part.start_s
    while not part.answers():
        if given_up.wait(POLL_S):
            return None
        if not part.process.alive():
            raise CandlewickError(
                f"{name} ended while it was starting: its log {part.process.log} says\n{part.process.last_words()}"
            )
        if time.monotonic() > deadline:
            raise CandlewickError(
                f"{name} has not answered for {part.start_s:.0f} s: see {part.process.log}, then run "
                "candlewick stack down and candlewick stack up"
            )
    return progress(f"{name} ready at {part.address} after {time.monotonic() - began:.1f} s")


def _stop_all(home: Path, progress: Progress) -> None:
    (home / "stack.json").unlink(missing_ok=True)
    processes = started(home)
    with ThreadPoolExecutor(len(processes) or 1) as pool:
        for one, ran in zip(processes, pool.map(lambda one: one.stop(_STOP_S), processes), strict=True):
            if ran:
                progress(f"{one.name} stopped")


def _addresses(home: Path, settings: Settings, parts: Iterable[Server]) -> Addresses:
    here = {part.process.name: part.address for part in parts}
    cold = home / "cold"
    if not settings.cold:
        cold.mkdir(exist_ok=True)
    return Addresses(
        kafka=settings.kafka or ",".join(address for name, address in here.items() if name.startswith("kafka")),
        redis=settings.redis.get_secret_value() if settings.redis else here["redis"],
        clickhouse=settings.clickhouse.get_secret_value() if settings.clickhouse else here["clickhouse"],
        cold=settings.cold or cold.as_uri(),
    )
