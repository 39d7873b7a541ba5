"""``candlewick stack`` as a person uses it."""

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stack_commands import Run, own_stack

from runtime.settings import Settings, clickhouse_address, kafka_address


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Run]:
    """The command with a home of its own."""
    with own_stack(tmp_path) as run:
        yield run


@pytest.fixture
def redis_only(alone: Run, settings: Settings) -> Run:
    """The same, with Kafka and ClickHouse set to the session's: quick."""
    environment = {
        "CANDLEWICK_KAFKA": kafka_address(settings),
        "CANDLEWICK_CLICKHOUSE": clickhouse_address(settings),
        "CANDLEWICK_PREFIX": settings.prefix,
    }
    return lambda *words, **more: alone(*words, **(environment | more))


def test_a_given_port_that_is_in_use_is_told_with_the_way_out(redis_only: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        refused = redis_only("stack", "up", "--redis-port", str(port))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"port {port} for redis is in use" in refused.stderr
    assert "--redis-port" in refused.stderr


def test_stale_pid_and_lock_files_do_no_harm(redis_only: Run, tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "redis.pid").write_text(f"{stranger.pid}\n")
        (tmp_path / "stack.lock").write_text("left behind")
        up = redis_only("stack", "up")
        assert up.returncode == 0, up.stderr
        assert "redis ready at" in up.stderr
        assert redis_only("stack", "down").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_ups_at_once_start_each_part_once(redis_only: Run) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = [up.result() for up in [pool.submit(redis_only, "stack", "up") for _ in range(2)]]
    assert [up.returncode for up in done] == [0, 0]
    said = done[0].stderr + done[1].stderr
    assert (said.count("redis ready at"), said.count("redis runs at")) == (1, 1)


def test_a_server_that_is_not_there_is_told(alone: Run) -> None:
    done = alone("topics", "diff", CANDLEWICK_KAFKA="127.0.0.1:1")
    assert done.returncode == 1
    assert "Kafka at 127.0.0.1:1 does not answer" in done.stderr


def test_a_download_without_network_is_told(alone: Run, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1"
    cache = str(tmp_path / "cache")
    done = alone(
        "stack", "up", CANDLEWICK_CACHE=cache, HTTPS_PROXY=nowhere, https_proxy=nowhere, NO_PROXY="", no_proxy=""
    )
    assert done.returncode == 1
    assert "could not be downloaded" in done.stderr
    assert "check the network" in done.stderr
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["download.lock"]


def test_a_home_with_letters_of_any_script_and_spaces_holds_all_data(tmp_path: Path) -> None:
    """In the locale C, in which what is not ASCII is most easily lost on the way to a part."""
    home = tmp_path / "ä ö" / "币安 人生"
    plain = {"LC_ALL": "C", "LANG": "C"}
    with own_stack(home) as run:
        up = run("stack", "up", **plain)
        assert up.returncode == 0, up.stderr
        assert json.loads(run("stack", "status", "--json", **plain).stdout)["cold"] == (home / "cold").as_uri()
        for held in ("kafka-1/data/md.trades.v1-0", "redis/appendonly.aof", "clickhouse/status", "cold"):
            assert (home / held).exists(), held
    assert [path.name for path in tmp_path.iterdir()] == ["ä ö"]
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_where_there_is_no_stack_nothing_is_written(alone: Run, tmp_path: Path) -> None:
    for words in (("stack", "down"), ("stack", "reset", "--yes")):
        done = alone(*words, CANDLEWICK_HOME=str(tmp_path / "none"))
        assert (done.returncode, done.stderr) == (0, f"there is nothing in {tmp_path / 'none'}\n")
    assert not (tmp_path / "none").exists()


def test_wrong_usage_is_exit_code_2(alone: Run) -> None:
    assert alone("stack", "up", "--colour", "red").returncode == 2
    wrong = alone("stack", "status", CANDLEWICK_PARTITIONS="many")
    assert wrong.returncode == 2
    assert "CANDLEWICK_PARTITIONS is 'many': give a whole number" in wrong.stderr
