"""The committed description of the interface is that of the code."""

import json
from pathlib import Path

from runtime.settings import load_settings
from serving.api import build_api
from serving.held import HeldSpans
from serving.tiers import Tiers

DESCRIPTION = Path(__file__).parents[3] / "docs" / "openapi.json"


async def test_the_committed_description_is_what_the_interface_says_of_itself() -> None:
    tiers = Tiers(load_settings(redis="redis://127.0.0.1:1", clickhouse="http://127.0.0.1:1", cold="memory:///"))
    told = build_api(tiers, HeldSpans(tiers)).openapi()
    await tiers.close()
    assert json.loads(DESCRIPTION.read_text()) == json.loads(json.dumps(told)), (
        "write it anew: curl -s localhost:8080/v1/openapi.json | python -m json.tool > docs/openapi.json"
    )
