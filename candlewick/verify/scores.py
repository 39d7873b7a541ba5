"""Signals of volume and return: the score of each that was told, anew from the market's own minutes. Pure.

Only what was told is looked at, and only where the log is sure which minutes stood before: one that came out twice, or
late, makes it unsure. The deviation is the robust one: the greater of 1.4826 times the median absolute deviation and
1.2533 times the mean one.
"""

import json
import math
from collections.abc import Mapping
from statistics import fmean, median
from typing import NamedTuple

from candlewick.verify.amounts import trimmed
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.logged import KeptKind, row_of
from candlewick.verify.names import record_name
from candlewick.verify.windows import MINUTE_MS
from market.records import Record

VOLUME, RETURN = "volume_zscore", "return_zscore"
_DAY_MINUTES = 1440
_MEDIAN_TO_DEVIATION, _MEAN_TO_DEVIATION = 1.4826, 1.253314
_ROUNDED = 2e-4
"""Scores are told to four places."""


class ScoredMinute(NamedTuple):
    """What a score needs of a minute."""

    close: str
    volume: str


class ScoreCheck:
    """The comparison of one partition: first the signals go in, then the 1m candles."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._signals: dict[str, list[Fields]] = {}
        self._minutes: dict[str, dict[int, ScoredMinute]] = {}
        self._unsure: set[tuple[str, int]] = set()
        """Markets and minutes that came out again, or of a run."""

    def take_signal(self, record: Record) -> None:
        """Take in a signal."""
        fields: Fields = json.loads((record.value or b"null").decode())
        if fields and fields["kind"] in (VOLUME, RETURN):
            self._signals.setdefault((record.key or b"").decode(), []).append(fields)

    def take_minute(self, record: Record) -> None:
        """Take in a 1m candle."""
        key = (record.key or b"").decode()
        if record.value is None or key not in self._signals:
            return
        fields: Fields = json.loads(record.value.decode())
        minute, minutes = fields["open_time_ms"] // MINUTE_MS, self._minutes.setdefault(key, {})
        if minute in minutes or "run" in dict(record.headers):
            self._unsure.add((key, minute))
        minutes[minute] = ScoredMinute(fields["close"], fields["volume"])

    def end(self) -> None:
        """Compare, once everything is in."""
        for key, signals in self._signals.items():
            for fields in signals:
                name = record_name(KeptKind.SIGNAL, key, row_of(KeptKind.SIGNAL, fields).name, "Kafka")
                minute = fields["time_ms"] // MINUTE_MS - 1
                before = range(minute - _DAY_MINUTES, minute)
                differing = _difference(fields, minute, self._minutes.get(key, {}))
                if any((key, unsure) in self._unsure for unsure in (*before, minute)) or differing is None:
                    self._findings.unsure_scores += 1
                elif differing:
                    self._findings.add(FindingKind.DIFFERENT, f"{name}: {differing}")
                else:
                    self._findings.scores += 1


def _difference(signal: Fields, minute: int, minutes: Mapping[int, ScoredMinute]) -> str | None:
    """How a score differs from that of these minutes; empty where it does not, None if it was of other minutes."""
    told, field = signal["values"], "volume" if signal["kind"] == VOLUME else "close"
    log = _volume_log if signal["kind"] == VOLUME else _return_log
    now = log(minutes, minute)
    usual = [made for before in range(minute - _DAY_MINUTES, minute) if (made := log(minutes, before)) is not None]
    if now is None or str(len(usual)) != told["minutes"]:
        return None
    amount = trimmed(getattr(minutes[minute], field))
    if told[field] != amount:
        return f"{field} is {told[field]!r}, not {amount!r}"
    center = median(usual)
    distances = [abs(made - center) for made in usual]
    deviation = max(_MEDIAN_TO_DEVIATION * median(distances), _MEAN_TO_DEVIATION * fmean(distances))
    score = (now - center) / deviation
    if math.isclose(float(told["score"]), score, rel_tol=1e-6, abs_tol=_ROUNDED):
        return ""
    return f"score is {told['score']!r}, not about {score:.4f}"


def _volume_log(minutes: Mapping[int, ScoredMinute], minute: int) -> float | None:
    volume = float(minutes[minute].volume) if minute in minutes else 0.0
    return math.log(volume) if volume else None


def _return_log(minutes: Mapping[int, ScoredMinute], minute: int) -> float | None:
    if minute not in minutes or minute - 1 not in minutes:
        return None
    return math.log(float(minutes[minute].close) / float(minutes[minute - 1].close))
