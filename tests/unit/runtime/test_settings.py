"""Settings: a wrong one is told in a sentence, an unknown one with the nearest that there is."""

from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.settings import child_environment, load_settings, unknown_variables


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no candlewick.env lies


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LOG_LEVEL", "loud", "CANDLEWICK_LOG_LEVEL is 'loud': choose debug, info, warning or error"),
        ("KAFKA_SASL", "plain", "'plain': choose PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ("PARTITIONS", "0", "'0': give a whole number from 1 to 1000"),
        ("PARTITIONS", "many", "'many': give a whole number from 1 to 1000"),
        ("STALL_TIMEOUT_S", "-1", "'-1': give a number greater than 0"),
        ("KAFKA", "there", "'there': give HOST:PORT, several with commas between them"),
        ("PREFIX", "a/b", "'a/b': use only letters, digits, dots, _ and -"),
        ("CLICKHOUSE_DATABASE", "1st", "'1st': give a name of letters, digits and _"),
        ("BINANCE_WS", "http://there", "'http://there': give wss://HOST"),
    ],
)
def test_a_wrong_variable_is_told_with_its_value_and_what_is_allowed(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CANDLEWICK_{name}", value)
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"CANDLEWICK_{name} is ")
    assert sentence in str(refused.value)


def test_a_wrong_flag_is_told_as_the_flag_that_it_is() -> None:
    with pytest.raises(UsageError, match=r"^--log-level is 'loud': choose debug"):
        load_settings(log_level="loud")


@pytest.mark.parametrize("kafka", ["", "one:9092", "one:9092, two:9092", "[::1]:9092"])
def test_addresses_of_brokers(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEWICK_KAFKA", kafka)
    assert load_settings().kafka == kafka


def test_a_variable_that_is_no_setting_is_found_with_the_nearest_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unknown_variables() == {}
    monkeypatch.setenv("CANDLEWICK_REDDIS", "redis://there")
    monkeypatch.setenv("CANDLEWICK_REDIS", "redis://there")
    monkeypatch.setenv("CANDLEWICK_SECRETS", str(tmp_path))
    (tmp_path / "candlewick.env").write_text("CANDLEWICK_LOGLEVEL=debug\nCANDLEWICK_ZZZ=1\nOTHER=2\n")
    assert unknown_variables() == {
        "CANDLEWICK_LOGLEVEL": "CANDLEWICK_LOG_LEVEL",
        "CANDLEWICK_REDDIS": "CANDLEWICK_REDIS",
        "CANDLEWICK_ZZZ": None,
    }


def test_what_kubernetes_sets_for_a_service_called_candlewick_is_no_typo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CANDLEWICK_SERVICE_HOST": "10.0.0.1",
        "CANDLEWICK_SERVICE_PORT_HTTP": "80",
        "CANDLEWICK_PORT": "tcp://10.0.0.1:80",
        "CANDLEWICK_PORT_80_TCP_ADDR": "10.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    assert unknown_variables() == {}


def test_a_child_has_these_settings_and_none_of_the_unknown_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEWICK_REDDIS", "redis://there")
    monkeypatch.setenv("CANDLEWICK_PARTITIONS", "5")
    environment = child_environment(load_settings(redis="redis://:word@there"), progress_s="1")
    assert "CANDLEWICK_REDDIS" not in environment
    assert environment["CANDLEWICK_PARTITIONS"] == "5"
    assert environment["CANDLEWICK_REDIS"] == "redis://:word@there"
    assert environment["CANDLEWICK_PROGRESS_S"] == "1"
    assert environment["CANDLEWICK_LOG_LEVEL"] == "info"
