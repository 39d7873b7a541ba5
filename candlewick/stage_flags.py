"""Flags that several stages have, each with its one sentence of help."""

from typing import Annotated

from cyclopts import Parameter

Once = Annotated[bool, Parameter(help="read to the end of the topic as it is now, commit, exit")]
InstanceId = Annotated[
    str | None, Parameter(help="static membership: a restart causes no rebalance; each process needs its own")
]
RevisionBase = Annotated[
    int, Parameter(help="added to every revision; after a topic was recreated, larger than any before")
]
SkipLostRecords = Annotated[
    bool, Parameter(help="if the group's offset is no longer in the log, go on from the first record")
]
SkipLostCandles = Annotated[
    bool, Parameter(help="if the group's offset is no longer in the log, go on from the first candle")
]
AllCandlesAgain = Annotated[
    bool, Parameter(help="read all candles of the log again; only while no other process of the group runs")
]
