"""What holds for every command."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from candlewick import cli
from candlewick.commands.settings import markdown_table
from runtime.errors import CandlewickError, WrongDataError
from runtime.settings import Settings


def run(words: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "candlewick", *words],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("words", [["--help"], ["stack", "up", "--help"], ["--version"], ["settings", "--markdown"]])
def test_questions_are_answered_with_exit_code_0(words: list[str]) -> None:
    done = run(words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("words", [["no-such-command"], ["stack", "fly"], ["stack", "up", "--brokers", "many"]])
def test_wrong_words_are_exit_code_2_and_no_traceback(words: list[str]) -> None:
    done = run(words)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


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


def test_every_setting_is_in_the_table_and_secrets_are_not() -> None:
    table = markdown_table()
    for name in Settings.model_fields:
        assert f"| `CANDLEWICK_{name.upper()}` |" in table
    shown = run(["settings"], CANDLEWICK_REDIS="redis://:hidden-word@there", COLUMNS="400")
    assert shown.returncode == 0
    assert "hidden-word" not in shown.stdout
