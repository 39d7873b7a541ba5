"""Apache Kafka's jars from Maven, downloaded once for all stacks of this user."""

import importlib.util
import shutil
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

from deploy.local.server import Progress
from runtime.errors import CandlewickError

KAFKA_VERSION = "4.3.0"
_KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
_BRIDGE = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
"""Brings Kafka's log messages to log4j. Resolved apart: together, its parent's versions would replace Kafka's."""


def kafka_jars(cache: Path, progress: Progress) -> Path:
    """The folder of the jars, complete; downloads them where they are not there yet.

    Raises:
        CandlewickError: no network, a damaged download, or a cache folder that cannot be written.
    """
    folder = _folder(cache)
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "download.lock", fallback_to_soft=False, preserve_lock_file=True):
            if not folder.is_dir():  # another process may have downloaded them meanwhile
                _fill(folder, progress)
    except OSError as error:
        raise CandlewickError(
            f"cannot keep Kafka's jars in {cache} ({error.strerror}): set CANDLEWICK_CACHE"
        ) from error
    return folder


def require_jars(cache: Path) -> None:
    """Raise `CandlewickError` where the jars are not there and what downloads them is not installed."""
    if not _folder(cache).is_dir() and importlib.util.find_spec("jgo") is None:
        raise CandlewickError(
            "no jgo to fetch Kafka with: install candlewick[local], or set CANDLEWICK_KAFKA to a cluster's address"
        )


def _folder(cache: Path) -> Path:
    return cache / f"kafka-{KAFKA_VERSION}"


def _fill(folder: Path, progress: Progress) -> None:
    for unfinished in folder.parent.glob("download-*/"):
        shutil.rmtree(unfinished)
    progress(f"downloading Apache Kafka {KAFKA_VERSION} (45 MB, once)")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="download-") as scratch:
        _download(Path(scratch)).rename(folder)


def _download(scratch: Path) -> Path:
    """All jars in one folder below `scratch`; it is renamed only when it is complete."""
    complete = scratch / "complete"
    complete.mkdir()
    for jar in _resolve(scratch):
        try:
            with zipfile.ZipFile(jar) as archive:
                broken = archive.testzip()
        except zipfile.BadZipFile:
            broken = jar.name
        if broken:
            raise CandlewickError(f"the download of {jar.name} is damaged: run candlewick stack up again")
        shutil.copy(jar, complete / jar.name)
    return complete


def _resolve(scratch: Path) -> list[Path]:
    import requests  # noqa: PLC0415  # it and jgo come with the extra `local` only
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.env import EnvironmentBuilder  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    try:
        context = MavenContext(repo_cache=scratch / "maven", remote_repos={"central": MAVEN_CENTRAL_URL}, timeout=30)
        for folder, endpoint in (("kafka", _KAFKA), ("bridge", _BRIDGE)):
            EnvironmentBuilder(context=context, cache_dir=scratch / folder).from_endpoint(endpoint)
    except (requests.RequestException, RuntimeError, ValueError) as error:
        raise CandlewickError(
            f"Kafka {KAFKA_VERSION} could not be downloaded from Maven Central ({type(error).__name__}): check the "
            "network and run candlewick stack up again, or set CANDLEWICK_KAFKA to a cluster's address"
        ) from error
    return [*sorted((scratch / "kafka").rglob("*.jar")), *(scratch / "bridge").rglob("log4j-slf4j-impl-*.jar")]
