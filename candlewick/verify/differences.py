"""Which fields of a record differ from what they must be, in words. Pure."""

import math
from collections.abc import Mapping

from candlewick.verify.expected import Fields

NEAR = 1e-11
"""So far a volatility may lie from ours: each of its squared returns is rounded to a multiple of 10^-24."""


def ticker_differences(expected: Fields, actual: Fields) -> str:
    """Which fields differ and how, in words; empty where none does."""
    wrong = _unlike({**expected, "windows": None}, {**actual, "windows": None}, "")
    if expected["windows"].keys() != actual["windows"].keys():
        return ", ".join([*wrong, f"windows are {list(actual['windows'])}, not {list(expected['windows'])}"])
    for name, window in expected["windows"].items():
        other = actual["windows"][name]
        near = {"realised_volatility": other.get("realised_volatility")}
        wrong += _unlike({**window, **near}, other, f"{name} ")
        if not _is_near(window["realised_volatility"], near["realised_volatility"]):
            told, ours = near["realised_volatility"], window["realised_volatility"]
            wrong.append(f"{name} realised_volatility is {told!r}, not about {ours!r}")
    return ", ".join(wrong)


def exact_differences(expected: Fields, actual: Fields) -> str:
    """The same of a candle or a bar, revision included."""
    return ", ".join(_unlike(expected, actual, ""))


def _unlike(expected: Mapping[str, object], actual: Mapping[str, object], before: str) -> list[str]:
    names = [name for name in {**expected, **actual} if expected.get(name) != actual.get(name)]
    return [f"{before}{name} is {actual.get(name)!r}, not {expected.get(name)!r}" for name in names]


def _is_near(expected: float | None, actual: str | None) -> bool:
    if expected is None or actual is None:
        return expected is None and actual is None
    return math.isclose(float(actual), expected, rel_tol=1e-9, abs_tol=NEAR)
