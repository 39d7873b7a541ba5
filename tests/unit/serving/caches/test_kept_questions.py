"""Which questions have answers that are kept, and what these depend on."""

import pytest

from market.partition import partition_of
from market.topics import Topics
from serving.caches.questions import KeptQuestion, read_kept

TOPICS = Topics(prefix="p.", partitions=4)
BTC = "exchange=binance&symbol=BTC-USDT"


def kept(path: str, query: str, accept: bytes | None = None) -> KeptQuestion | None:
    return read_kept(path, query.encode(), accept, TOPICS)


def topics_of(path: str, query: str) -> set[str]:
    question = kept(path, query)
    assert question is not None
    assert question.tag == "binance:BTC-USDT"
    assert {partition for _, partition in question.partitions} == {partition_of(b"binance:BTC-USDT", 4)}
    return {topic for topic, _ in question.partitions}


def test_an_answer_depends_on_the_records_that_it_is_made_of() -> None:
    assert topics_of("/v1/candles", BTC) == {"p.md.candles.1m.v1"}
    assert topics_of("/v1/candles", f"{BTC}&timeframe=7m") == {"p.md.candles.1m.v1"}
    assert topics_of("/v1/candles", f"{BTC}&timeframe=60m") == {"p.md.candles.1m.v1", "p.md.candles.1h.v1"}
    assert topics_of("/v1/coverage", f"{BTC}&from_ms=1&until_ms=2") == {"p.md.candles.1m.v1"}
    assert topics_of("/v1/signals", BTC) == {"p.md.signals.v1"}
    assert topics_of("/v1/funding", BTC) == {"p.md.funding.v1"}
    assert topics_of("/v1/bars", f"{BTC}&kind=tick&threshold=100") == {"p.md.bars.v1"}
    instruments = kept("/v1/instruments", "exchange=binance")
    assert instruments is not None
    assert instruments.tag == "binance"
    assert instruments.partitions == tuple(("p.md.instruments.v1", partition) for partition in range(4))


def test_a_question_is_the_same_in_any_order_and_another_with_any_other_value() -> None:
    question = kept("/v1/candles", f"{BTC}&limit=5&timeframe=7m")
    assert question == kept("/v1/candles", "timeframe=7m&limit=5&symbol=BTC-USDT&exchange=binance")
    others = [
        kept("/v1/candles", f"{BTC}&limit=5&timeframe=7h"),
        kept("/v1/candles", f"{BTC}&limit=6&timeframe=7m"),
        kept("/v1/candles", f"{BTC}&limit=5&timeframe=7m&revision=first"),
        kept("/v1/candles", "exchange=okx&symbol=BTC-USDT&limit=5&timeframe=7m"),
        kept("/v1/signals", f"{BTC}&limit=5"),
        kept("/v1/funding", f"{BTC}&limit=5"),
    ]
    names = {other.name for other in others if other is not None}
    assert len(names) == len(others)
    assert question is not None
    assert question.name not in names


@pytest.mark.parametrize(
    ("path", "query", "accept"),
    [
        ("/v1/trades", BTC, None),
        ("/v1/historical", BTC, None),
        ("/v1/gaps", BTC, None),
        ("/v1/exchanges", "", None),
        ("/v1/nothing", BTC, None),
        ("/v1/candles", "exchange=binance", None),
        ("/v1/candles", "symbol=BTC-USDT", None),
        ("/v1/candles", f"{BTC}&symbol=BTC-USDT", None),
        ("/v1/candles", f"{BTC}&format=csv", None),
        ("/v1/candles", f"{BTC}&timeframe=7x", None),
        ("/v1/candles", f"{BTC}&limit={'1' * 600}", None),
        ("/v1/candles", BTC, b"application/x-ndjson"),
        ("/v1/candles", BTC, b"text/csv, application/json"),
    ],
)
def test_what_is_not_kept_or_wrong_or_asked_in_another_form_goes_on(
    path: str, query: str, accept: bytes | None
) -> None:
    assert kept(path, query, accept) is None


@pytest.mark.parametrize("accept", [None, b"", b"*/*", b"application/json;q=0.9, text/csv"])
def test_who_takes_json_is_given_what_is_kept(accept: bytes | None) -> None:
    assert kept("/v1/candles", BTC, accept) is not None
