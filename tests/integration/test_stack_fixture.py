from eventually import eventually

from market.topics import Topics
from runtime.kafka.admin import diff_topics
from runtime.settings import Settings


async def test_topics_are_made_once_and_then_as_they_have_to_be(topics: Topics, settings: Settings) -> None:
    assert await eventually(lambda: diff_topics_are_none(settings))
    assert settings.prefix in topics.trades


async def diff_topics_are_none(settings: Settings) -> bool:
    return await diff_topics(settings) == []
