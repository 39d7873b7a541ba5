"""Errors for people: each is a sentence that says what is wrong and what to do, and has an exit code."""

INTERRUPTED = 130
"""Exit code of a program that a person has interrupted."""


class CandlewickError(Exception):
    """Something failed; the program tells it and ends with `exit_code`."""

    exit_code = 1


class UsageError(CandlewickError):
    """A setting, an argument or an input file is wrong."""

    exit_code = 2


class WrongDataError(CandlewickError):
    """A verification found wrong data."""

    exit_code = 3


class UnavailableError(CandlewickError):
    """A server did not answer; `retry_after_s` says when to ask again."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
