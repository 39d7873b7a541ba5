"""The tools on standard input and output, until the assistant closes them."""

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

from runtime.settings import Settings
from runtime.telemetry import VERSION
from serving.client.connection import ApiConnection
from serving.mcp.tools import MAX_ROWS, MarketTools

_WAIT_S = 20.0
"""How long a tool waits for an allowance that is used up: assistants give up after a minute or so."""
_TIMEOUT_S = 40.0
_INSTRUCTIONS = f"""Market data of crypto exchanges: trades, candles, statistics, with how complete they are.
Prices and sizes are exact decimals, as text; times are UTC (names end with _ms: milliseconds, _us: microseconds).
Data can be missing: look at `coverage`, `status` (complete, connected, kline, hole), `source.away` and the tool `gaps`,
and tell the user what is missing before drawing conclusions. Nothing can be changed with these tools.
Answers have {MAX_ROWS} rows at most; `rest` says how to get more. Rows are in `columns`; `same` holds for all rows."""


def build_mcp(connection: ApiConnection) -> MCPServer:
    """The server; it asks over this connection."""
    server = MCPServer("candlewick", instructions=_INSTRUCTIONS, version=VERSION, log_level="WARNING")
    tools = MarketTools(connection)
    for tool in (
        tools.candles,
        tools.trades,
        tools.historical_trades,
        tools.tickers,
        tools.signals,
        tools.bars,
        tools.funding,
        tools.instruments,
        tools.exchanges,
        tools.coverage,
        tools.gaps,
        tools.estimate,
        tools.health,
    ):
        server.add_tool(tool, annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True))
    return server


def serve_mcp(settings: Settings) -> None:
    """Serve until standard input ends."""
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    connection = ApiConnection(settings.api, key=key, wait_s=_WAIT_S, timeout_s=_TIMEOUT_S)
    try:
        build_mcp(connection).run()
    finally:
        connection.close()
