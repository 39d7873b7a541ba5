"""What holds for every command."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest

from candlewick import cli
from candlewick.commands.settings import markdown_table
from runtime.errors import CandlewickError, WrongDataError
from runtime.settings import Settings

GROUPS = ("stack", "topics", "sink", "migrate", "keys")
SUBCOMMANDS = [
    ["stack", "up"], ["stack", "down"], ["stack", "status"], ["stack", "reset"],
    ["topics", "apply"], ["topics", "diff"], ["sink", "redis"], ["sink", "clickhouse"], ["sink", "parquet"],
    ["sink", "postgres"], ["migrate", "clickhouse"],
    ["keys", "add"], ["keys", "list"], ["keys", "rotate"], ["keys", "revoke"],
]  # fmt: skip


def run(words: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "candlewick", *words],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_question_is_answered_with_exit_code_0() -> None:
    done = run(["--version"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("words", [["--help"], ["stack", "up", "--help"], ["settings", "--markdown"]])
def test_questions_are_answered(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    told = capsys.readouterr()
    assert told.out
    assert told.err == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no-such-command"], 'Unknown command "no-such-command".'),
        (["stack", "fly"], 'Unknown command "fly".'),
        (["stack", "up", "--brokers", "many"], "--brokers is 'many': give a whole number"),
        (["candles", "--from", "yesterday"], "--from is 'yesterday': give a time such as 2026-01-31T12:00Z"),
        (["candles", "--grace", "7"], "--grace is '7': give a time span such as 90s, 2m or 1h"),
        (["candles", "--grace", "0s"], "greater than 0, such as 90s, 2m or 1h"),
        (
            ["replay", "candles", "--to", "dawn"],
            "--to is 'dawn': give earliest, latest, current, a whole number or a t",
        ),
        (["replay", "candles", "--to=-1", "--kafka", "nobody:1"], "--to -1 is no offset: give 0 or more"),
        (["bars", "nothing.toml"], "cannot read the thresholds in nothing.toml: No such file or directory"),
        (["bars", "pyproject.toml"], 'pyproject.toml: ["build-system"] is no market and no pattern'),
        (["settings", "--log-level", "loud"], "--log-level is 'loud': choose debug, info, warning or error"),
    ],
)
def test_wrong_words_are_exit_code_2_and_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("candlewick: ")
    assert sentence in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("words", [[name] for name in cli._COMMANDS if name not in GROUPS] + SUBCOMMANDS, ids=" ".join)
def test_help_shows_examples_first_and_settings_last(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*words, "--help"])
    text = capsys.readouterr().out
    usage, example = text.index("Usage:"), text.index(f"\n candlewick {' '.join(words)}")
    panels = [text.index(f"╭─ {title} ─") for title in ("Parameters", "Settings") if f"╭─ {title} ─" in text]
    assert usage < example < panels[0]
    assert panels == sorted(panels)
    assert len(text[usage:example].splitlines()) <= 6, "only the usage and what the command does stand before"


def test_a_variable_that_is_no_setting_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANDLEWICK_REDDIS", "redis://there")
    assert cli.main(["settings"]) == 0
    assert capsys.readouterr().err == (
        "candlewick: warning: CANDLEWICK_REDDIS is no setting and is ignored: did you mean CANDLEWICK_REDIS?\n"
    )


def test_a_port_of_metrics_that_is_in_use_is_one_sentence() -> None:
    with socket.create_server(("", 0)) as taken:
        done = run(["simulate", "--port", "0"], CANDLEWICK_METRICS_PORT=str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "set CANDLEWICK_METRICS_PORT to a free port" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_cell_of_a_table_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    description = Settings.model_fields["clickhouse_port"].description
    assert any("CANDLEWICK_CLICKHOUSE_DATABASE" in line for line in lines)
    assert any(description and description in line for line in lines)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["settings"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 80
    assert "CANDLEWICK_CLICKHOUSE_DATABASE" in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (CandlewickError("it broke"), 1, "candlewick: it broke\n"),
        (WrongDataError("it differs"), 3, "candlewick: it differs\n"),
        (BaseExceptionGroup("tasks", [CandlewickError("one of two")]), 1, "candlewick: one of two\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_becomes_its_sentence_and_its_exit_code(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise raised

    monkeypatch.setattr("candlewick.commands.settings.markdown_table", fail)
    assert cli.main(["settings", "--markdown"]) == code
    assert capsys.readouterr().err == said


def test_a_reader_that_has_enough_is_no_error() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m candlewick settings | true"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stderr == ""


def test_every_setting_is_in_the_table_and_secrets_are_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = markdown_table()
    for name in Settings.model_fields:
        assert f"| `CANDLEWICK_{name.upper()}` |" in table
    monkeypatch.setenv("CANDLEWICK_REDIS", "redis://:hidden-word@there")
    monkeypatch.setenv("COLUMNS", "400")
    assert cli.main(["settings"]) == 0
    shown = capsys.readouterr().out
    assert "CANDLEWICK_REDIS" in shown
    assert "hidden-word" not in shown
