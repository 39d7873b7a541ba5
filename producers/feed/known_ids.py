"""Which of the newest trades of a symbol were published, by id, where ids are any texts. Pure."""

from collections import deque


class KnownIds:
    """At most `most` ids; the first is forgotten first. A forgotten trade is published again, which is harmless."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: set[str] = set()
        self._in_order: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, trade_id: str, time_us: int) -> bool:
        """Note the id of a trade of this time; False: it was known."""
        if trade_id in self._ids:
            return False
        self._ids.add(trade_id)
        self._in_order.append((time_us, trade_id))
        if len(self._in_order) > self._most:
            self._forget()
        return True

    def forget_before(self, time_us: int) -> None:
        """Forget trades before this time, as far as no later one was noted before them."""
        while self._in_order and self._in_order[0][0] < time_us:
            self._forget()

    def _forget(self) -> None:
        self._ids.discard(self._in_order.popleft()[1])
