import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local import kafka, plan, postgres, redis, stack
from deploy.local.layout import Layout, read_layout, write_layout
from deploy.local.ports import any_free_port, choose_port
from deploy.local.server import masked
from runtime.errors import CandlewickError, UsageError
from runtime.settings import load_settings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_usual_port_is_taken_where_it_is_free() -> None:
    free = any_free_port()
    assert choose_port("redis", given=None, remembered=None, default=free, taken=set()) == free


def test_the_next_free_port_is_taken_where_another_program_has_the_usual_one(taken: int) -> None:
    assert taken < choose_port("redis", given=None, remembered=None, default=taken, taken=set()) < taken + 100


def test_a_given_port_that_is_in_use_is_an_error_with_the_way_out(taken: int) -> None:
    with pytest.raises(UsageError, match=rf"port {taken} for redis is in use.*--redis-port \(CANDLEWICK_REDIS_PORT\)"):
        choose_port("redis", given=taken, remembered=None, default=6379, taken=set())


def test_the_port_of_the_last_time_comes_before_the_usual_one() -> None:
    usual, last = any_free_port(), any_free_port()
    assert choose_port("redis", given=None, remembered=last, default=usual, taken=set()) == last
    assert choose_port("redis", given=0, remembered=last, default=usual, taken=set()) == last
    assert choose_port("redis", given=usual, remembered=last, default=1, taken=set()) == usual


def test_no_two_parts_get_the_same_port(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    ports = plan.choose_ports(tmp_path, settings, Layout(brokers=3)).ports
    assert len(ports) == 8  # three nodes with two each, Redis, ClickHouse
    assert len(set(ports.values())) == 8


def test_a_part_set_by_a_setting_is_not_planned(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, kafka="there:9092", redis="redis://there")
    layout = plan.choose_ports(tmp_path, settings, Layout())
    assert [part.process.name for part in plan.servers(tmp_path, settings, layout)] == ["clickhouse"]


def test_postgres_is_planned_where_it_was_asked_for_and_from_then_on(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, kafka="there:9092", redis="redis://there", clickhouse="http://there")
    assert plan.choose_ports(tmp_path, settings, Layout()).ports == {}
    asked = plan.choose_ports(tmp_path, settings, Layout(), [plan.Extra.POSTGRES])
    again = plan.choose_ports(tmp_path, settings, asked)
    [server] = plan.servers(tmp_path, settings, again)
    assert again == asked
    assert (server.process.name, again.postgres_password in server.address) == ("postgres", True)
    elsewhere = settings.model_copy(update={"postgres": SecretStr("postgresql://there/market")})
    assert plan.servers(tmp_path, elsewhere, again) == []


def test_postgres_is_told_where_root_cannot_become_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(CandlewickError, match=r"refuses to run as root.*set CANDLEWICK_POSTGRES"):
        postgres.command(tmp_path, 7000, "x")


def test_a_postgres_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "data.new" / "base").mkdir(parents=True)
    words = postgres.command(tmp_path, 7000, "x")
    assert words[-8:][1] == "listen_addresses=127.0.0.1"
    assert (tmp_path / "data" / "PG_VERSION").exists()
    assert not (tmp_path / "data.new").exists()


def test_a_single_broker_keeps_one_copy_and_three_keep_three_of_which_two_suffice() -> None:
    nodes = [kafka.Node(id=one, port=9090 + one, controller_port=19090 + one) for one in (1, 2, 3)]
    single = kafka.server_properties(Path("/data"), nodes[0], nodes[:1])
    three = kafka.server_properties(Path("/data"), nodes[1], nodes)
    for name in ("default.replication.factor", "offsets.topic.replication.factor", "transaction.state.log.min.isr"):
        assert single[name] == "1"
    assert three["offsets.topic.replication.factor"] == three["transaction.state.log.replication.factor"] == "3"
    assert three["min.insync.replicas"] == three["transaction.state.log.min.isr"] == "2"
    assert three["controller.quorum.voters"] == "1@127.0.0.1:19091,2@127.0.0.1:19092,3@127.0.0.1:19093"
    assert single["auto.create.topics.enable"] == "false"
    assert int(single["offsets.retention.minutes"]) == 90 * 24 * 60


def test_a_backslash_in_a_path_survives_a_properties_file() -> None:
    assert kafka.render({"log.dirs": "a\\b"}) == "log.dirs=a\\\\b\n"


def test_a_properties_file_is_ascii_whatever_the_folder_is_called() -> None:
    assert kafka.render({"log.dirs": "/ä/a b/币/\U0001f600"}) == ("log.dirs=/\\u00e4/a b/\\u5e01/\\ud83d\\ude00\n")


@pytest.mark.parametrize("name", ["a,b", "a?b", "a\nb", "a\udce4b"])
def test_a_home_in_whose_name_a_part_would_write_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    nothing_to_start = {"kafka": "there:9092", "redis": "redis://there", "clickhouse": "http://there"}
    with pytest.raises(UsageError, match="cannot be the home of a stack"):
        stack.up(load_settings(home=tmp_path / name, **nothing_to_start))
    assert list(tmp_path.iterdir()) == []


def test_redis_keeps_a_log_refuses_at_its_limit_and_listens_on_this_machine_only(tmp_path: Path) -> None:
    words = redis.command(tmp_path / "redis", 7000)
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert given["--bind"] == "127.0.0.1"
    assert (given["--appendonly"], given["--maxmemory-policy"]) == ("yes", "noeviction")


def test_a_layout_is_remembered_and_a_broken_one_is_told(tmp_path: Path) -> None:
    layout = Layout(brokers=3, ports={"redis": 7000})
    write_layout(tmp_path, layout)
    assert read_layout(tmp_path) == layout
    path = tmp_path / "layout.json"
    path.write_text(path.read_text()[:10])
    with pytest.raises(CandlewickError, match=r"layout\.json is broken.*candlewick stack reset"):
        read_layout(tmp_path)
    path.write_text(json.dumps({"colour": "red"}))
    with pytest.raises(CandlewickError, match="broken"):
        read_layout(tmp_path)


def test_passwords_are_not_shown() -> None:
    assert masked("redis://user:secret@there:6379/0") == "redis://user:***@there:6379/0"
    assert masked("redis://:secret@there") == "redis://:***@there"
    assert masked("http://there:8123") == "http://there:8123"
