"""``candlewick topics``, and the first line of a stage that reads them."""

import json
import subprocess
import sys

from market.topics import Topics
from runtime.settings import Settings, kafka_address
from runtime.telemetry import VERSION


def candlewick(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "candlewick", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_what_was_created_is_counted_and_what_differs_is_shown_whole(
    settings: Settings, environment: dict[str, str]
) -> None:
    count = len(list(settings.topics.specs()))
    first, second = candlewick(environment, "topics", "apply"), candlewick(environment, "topics", "apply")
    assert (first.returncode, first.stdout.splitlines()[0]) == (0, f"created {count} topics")
    assert "created" not in second.stdout
    differing = candlewick(environment | {"CANDLEWICK_PARTITIONS": "5"}, "topics", "diff")
    assert differing.returncode == 1
    assert all(spec.name in differing.stdout for spec in settings.topics.specs() if spec.partitions > 1)


def test_the_first_line_of_a_stage_says_what_it_is_and_what_it_reads(
    settings: Settings, topics: Topics, environment: dict[str, str]
) -> None:
    done = candlewick(environment, "candles", "--once")
    first = json.loads(done.stderr.splitlines()[0])
    assert (done.returncode, first["event"], first["stage"]) == (0, "starting", "candles")
    assert (first["version"], first["kafka"]) == (VERSION, kafka_address(settings))
    assert (first["group"], first["topics"]) == (topics.group("candles"), [topics.trades])
