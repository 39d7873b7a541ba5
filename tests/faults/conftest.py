"""What tests of the long suite share."""

import pytest


@pytest.fixture(autouse=True)
def _every_topic(request: pytest.FixtureRequest) -> None:
    """They run the whole pipeline: where they have topics, they have all."""
    if "topics" in request.fixturenames:
        request.getfixturevalue("longer_candles")
