"""``candlewick topics``: create them, compare them."""

import sys

from cyclopts import App
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common
from candlewick.tables import print_table
from runtime.errors import CandlewickError
from runtime.kafka.admin import TopicDifference, apply_topics, diff_topics

app = App(name="topics", help="Create or check the topics.")


@app.command
async def apply(*, common: Common = NONE_GIVEN) -> int:
    """Create the topics that are missing. A topic that is there but differs is shown and left as it is.

    ```
    candlewick topics apply
    candlewick topics apply --prefix test. --partitions 4
    ```
    """
    settings = common.settings()
    missing = [difference.topic for difference in await diff_topics(settings) if difference.what == "missing"]
    left = await apply_topics(settings)
    if missing:
        sys.stdout.write(f"created {len(missing)} topic{'s' * (len(missing) > 1)}\n")
    return _show(left)


@app.command
async def diff(*, common: Common = NONE_GIVEN) -> int:
    """Compare the topics with what they have to be. The exit code is 1 where something differs.

    ```
    candlewick topics diff
    ```
    """
    return _show(await diff_topics(common.settings()))


def _show(differences: list[TopicDifference]) -> int:
    if not differences:
        sys.stdout.write("all topics are there, with the right settings\n")
        return 0
    table = Table("topic", "what", "must be", "is")
    for difference in differences:
        table.add_row(difference.topic, difference.what, difference.wanted, difference.actual or "")
    print_table(table)
    return CandlewickError.exit_code
