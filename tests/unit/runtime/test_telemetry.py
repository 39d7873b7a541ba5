"""What a stage tells of itself: its log, its progress line, its metrics."""

import io
import logging
import socket
import sys
from collections.abc import Iterator
from typing import get_args

import orjson
import pytest
import structlog
from eventually import eventually
from prometheus_client import REGISTRY, generate_latest

from runtime.errors import UsageError
from runtime.figures import FIGURES, FigureName, metric_name
from runtime.settings import load_settings
from runtime.telemetry import VERSION, Meter, configure_logs, logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, progress_s = root.handlers[:], root.level, Meter.progress_s
    yield
    root.handlers[:], Meter.progress_s = handlers, progress_s
    root.setLevel(level)
    structlog.reset_defaults()


def metrics_of(stage: str) -> dict[str, float]:
    return {
        line.split("{")[0]: float(line.rpartition(" ")[2])
        for line in generate_latest(REGISTRY).decode().splitlines()
        if f'stage="{stage}"' in line
    }


def test_every_figure_is_described_and_named_by_convention() -> None:
    assert set(FIGURES) == set(get_args(FigureName))
    for name, figure in FIGURES.items():
        metric = metric_name(name)
        assert metric.startswith("candlewick_")
        assert metric.endswith("_total") is figure.is_counter
        assert not metric.endswith(("_s", "_ms"))
    assert metric_name("newest_age_ms") == "candlewick_newest_age_seconds"


def test_metrics_are_the_figures_of_the_progress_line() -> None:
    meter = Meter("test")
    meter.count(7, newest_ms=1)
    meter.set_unread([(10, 4), (8, 2), (5, 7)])
    meter.add("dead_letters", 3)
    meter.fields["gaps_open"] = 2
    meter.fields["rest_closed_s"] = 9
    shown = metrics_of("test")
    age_s = shown.pop("candlewick_newest_age_seconds")
    assert abs(age_s - meter.figures()["newest_age_ms"] / 1000) < 60
    assert shown == {
        "candlewick_records_total": 7,
        "candlewick_unread_records": 12,
        "candlewick_dead_letters_total": 3,
        "candlewick_gaps_open": 2,
        "candlewick_rest_closed_seconds": 9,
    }


def test_metrics_say_what_is_running() -> None:
    assert f'candlewick_build_info{{version="{VERSION}"}} 1.0' in generate_latest(REGISTRY).decode()


@pytest.mark.usefixtures("_logs_as_before")
def test_a_port_of_metrics_that_is_in_use_is_told_with_the_settings_name() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} \(Address already in use\): set CANDLEWICK_METRICS_PORT"):
            configure_logs(load_settings(metrics_port=port))


@pytest.mark.usefixtures("_logs_as_before")
async def test_progress_is_told_as_often_as_the_setting_says_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)

    def lines() -> list[dict[str, object]]:
        return [orjson.loads(line) for line in written.getvalue().splitlines()]

    configure_logs(load_settings(progress_s=0.01))
    meter = Meter("test")
    async with meter.reporting():
        meter.count(5)
        await eventually(lambda: len(lines()) >= 2, timeout_s=5)
    told = lines()
    assert {line["event"] for line in told} == {"progress"}
    assert told[-1]["records"] == 5

    configure_logs(load_settings())
    assert Meter.progress_s == 10


@pytest.mark.usefixtures("_logs_as_before")
def test_logs_are_sentences_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for written in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", written)
        monkeypatch.setenv("NO_COLOR", "1")
        configure_logs(load_settings())
        logger("test").warning("dead letter", offset=7)
        logging.getLogger("library").warning("it is slow")
        if written.isatty():
            assert "dead letter" in written.getvalue()
            assert "stage=test offset=7" in written.getvalue()
            assert "it is slow" in written.getvalue()
            assert "{" not in written.getvalue()
        else:
            entries = [orjson.loads(line) for line in written.getvalue().splitlines()]
            assert [entry["event"] for entry in entries] == ["dead letter", "it is slow"]
            assert entries[0]["offset"] == 7


def _fail(code: int) -> None:
    raise ValueError(f"out of paper: {code % 10}")


@pytest.mark.usefixtures("_logs_as_before")
def test_a_failure_is_logged_with_its_cause_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    for written in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", written)
        configure_logs(load_settings())
        try:
            _fail(7 * 1_111)
        except ValueError as error:
            logger("test").error("a request failed", exc_info=error)
        assert "ValueError: out of paper" in written.getvalue()
        assert "7777" not in written.getvalue(), "variables may hold secrets"
