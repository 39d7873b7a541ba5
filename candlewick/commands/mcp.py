"""``candlewick mcp``: the API's questions as tools for assistants."""

from importlib.util import find_spec

from candlewick.common import NONE_GIVEN, Common, single_command
from runtime.errors import UsageError
from runtime.telemetry import configure_logs


def mcp(*, common: Common = NONE_GIVEN) -> None:
    """Speak the Model Context Protocol on standard input and output: an assistant's program starts this command.

    It asks the API at CANDLEWICK_API with the key CANDLEWICK_API_KEY, and changes nothing (docs/mcp.md).

    ```
    candlewick mcp
    CANDLEWICK_API=https://md.example CANDLEWICK_API_KEY=cw_… candlewick mcp
    ```
    """
    settings = common.settings()
    configure_logs(settings)
    if find_spec("mcp") is None:
        raise UsageError("candlewick mcp needs the protocol's library: pip install 'candlewick[mcp]'")
    from serving.mcp.server import serve_mcp  # noqa: PLC0415  # comes with the extra `mcp` only

    serve_mcp(settings)


app = single_command("mcp", mcp)
