"""``candlewick topics``: create them, compare them."""

import sys

from cyclopts import App
from rich.console import Console
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common
from runtime.errors import CandlewickError
from runtime.kafka.admin import TopicDifference, apply_topics, diff_topics

app = App(name="topics", help="Create or check the topics.")


@app.command
async def apply(*, common: Common = NONE_GIVEN) -> int:
    """Create the topics that are missing; what differs on those that are there is shown and left alone.

    ```
    candlewick topics apply
    candlewick topics apply --prefix test. --partitions 4
    ```
    """
    left = await apply_topics(common.settings())
    return _show(left)


@app.command
async def diff(*, common: Common = NONE_GIVEN) -> int:
    """Compare the topics with what they have to be; exit code 1 where something differs.

    ```
    candlewick topics diff
    ```
    """
    return _show(await diff_topics(common.settings()))


def _show(differences: list[TopicDifference]) -> int:
    if not differences:
        sys.stdout.write("all topics are as they have to be\n")
        return 0
    table = Table("topic", "what", "must be", "is")
    for one in differences:
        table.add_row(one.topic, one.what, one.wanted, one.actual or "")
    Console().print(table)
    return CandlewickError.exit_code
