"""Which copy of a trade a run publishes: the file's or the log's. Pure."""

from collections.abc import Mapping

from market.ids import SeenIds
from market.timeframe import minute_us
from market.trade import Trade, numeric_id
from producers.archive.logged import LogSurvey
from producers.archive.plan import Plan
from producers.archive.survey import Conflicts, Survey, same_content

ReadBack = Mapping[int, Mapping[str, Trade]]
"""By minute and id: the copies in the log that count."""


class Copies:
    """The trades of one run. `until_us`: from here on live data count, and no row is published."""

    def __init__(
        self, plan: Plan, survey: Survey, log: LogSurvey, read_back: ReadBack, *, until_us: int, forced: bool
    ) -> None:
        self._published = {minute.open_us for minute in plan.minutes}
        self._survey = survey
        self._log = log
        self._read_back = read_back
        self._until_us = until_us
        self._forced = forced
        self._logged_ids: tuple[int, SeenIds] = (-1, SeenIds())

    def of(self, row: Trade) -> Trade | None:
        """What is published for a row of the file.

        - Its minute is published: the log's copy if there is one with the same content, else the row.
        - Its minute is not published: the row, if the log does not have it yet; a later import may complete the minute.
          None if the log has the row, or if live data count.
        """
        open_us = minute_us(row.time_us)
        if open_us in self._published:
            known = self._read_back.get(open_us, {}).get(row.trade_id)
            return known if known is not None and not self._forced and same_content(known, row) else row
        return None if row.time_us >= self._until_us or self._is_logged(row, open_us) else row

    def log_only(self, open_us: int) -> list[Trade]:
        """The trades of a published minute that are in the log, but not in the file."""
        in_file = self._survey.minutes.get(open_us)
        known = self._read_back.get(open_us, {}).values()
        return [trade for trade in known if in_file is None or not _holds(in_file.ids, trade)]

    def compare(self, row: Trade, conflicts: Conflicts) -> None:
        """Compare a row with the log's copy, if there is one; a different content is added to `conflicts`."""
        known = self._read_back.get(minute_us(row.time_us), {}).get(row.trade_id)
        if known is not None and not same_content(known, row):
            conflicts.add(known)

    def _is_logged(self, row: Trade, open_us: int) -> bool:
        if self._logged_ids[0] != open_us:
            minute = self._log.minutes.get(open_us)
            self._logged_ids = (open_us, minute.ids() if minute is not None else SeenIds())
        return _holds(self._logged_ids[1], row)


def _holds(ids: SeenIds, trade: Trade) -> bool:
    return ids.holds(trade.trade_id, numeric_id(trade.trade_id))
