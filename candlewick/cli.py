"""The program: its commands, its exit codes, and one sentence for whatever goes wrong.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 data found wrong, 130 interrupted.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from keyword import iskeyword

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from candlewick.wrong_usage import usage_sentence
from runtime.errors import INTERRUPTED, CandlewickError, UsageError

_HELP = """Exchange trades in; exact, complete, replayable candles out.

```
candlewick run --for 60s          all of it on this machine, drained and verified at the end
candlewick stack up               the local Kafka, Redis and ClickHouse engine
candlewick stack up --help        what a command takes
```
"""

# Each is loaded when it is called: without the libraries of the others a stage starts in a third of the time.
_COMMANDS = {
    "run": "The whole pipeline on this machine, on a simulated or a real exchange.",
    "verify": "Compare candles with the exchange's klines, or a simulated run with the simulator's record.",
    "gaps": "Show by day what feeds missed, what became of it, and the gap rate.",
    "status": "Show the lag of every stage, the newest marker and the gaps of every symbol.",
    "stack": "Start and stop the local Kafka, Redis, ClickHouse engine and cold store.",
    "topics": "Create or check the topics.",
    "simulate": "Serve six exchanges' streams and REST over a simulated market.",
    "produce": "Publish an exchange's live trades: gaps filled, minutes marked.",
    "backfill": "Fetch an exchange's history over REST, and publish it as runs.",
    "playback": "Read recorded frames through an exchange's adapter again; print what is in them.",
    "import": "Publish recorded trades as a run.",
    "candles": "Make 1m candles out of trades, exactly once.",
    "bars": "Make bars of ticks, volume and dollars out of trades, exactly once.",
    "sink": "Write trades, candles and tickers into a store.",
    "migrate": "Make or migrate a store's tables, and check them.",
    "rolling": "Make longer candles and sliding tickers out of 1m candles.",
    "signals": "Tell what stands out in the 1m candles of all markets.",
    "replay": "Move a group to another place in the log; without --execute only show what that would do.",
    "serve": "Serve candles, trades and tickers of all tiers over HTTP.",
    "mcp": "Give the API's questions to assistants as tools (Model Context Protocol).",
    "keys": "Make, list, revoke and rotate the keys of the API.",
    "settings": "Show every setting with its meaning, default and value.",
}

app = App(
    name="candlewick",
    help=_HELP,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
    version=version("candlewick"),
)
for name, purpose in _COMMANDS.items():
    module = name + "_" * iskeyword(name)
    app.command(f"candlewick.commands.{module}:app", name=name, help=purpose)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Where a command writes no log, a client's own lines would stand before our sentence and say less.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        sys.stderr.write(f"candlewick: {usage_sentence(error)}\n")
        return UsageError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CandlewickError, BaseExceptionGroup) as error:
        known = next(_known(error), None)
        if known is None:
            raise
        sys.stderr.write(f"candlewick: {known}\n")
        return known.exit_code
    return result if isinstance(result, int) else 0


def _known(error: BaseException) -> Iterator[CandlewickError]:
    if isinstance(error, CandlewickError):
        yield error
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _known(inner)
