"""Errors that reach a person: one sentence each that says what is wrong and what to do, and an exit code."""


class CandlewickError(Exception):
    """Something failed that a person has to know about; the program ends with `exit_code`."""

    exit_code = 1


class UsageError(CandlewickError):
    """A setting, an argument or an input file is not what it has to be."""

    exit_code = 2


class WrongDataError(CandlewickError):
    """A verification found data that differ."""

    exit_code = 3


class UnavailableError(CandlewickError):
    """A server did not answer; `retry_after_s` says when to ask again."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
