"""The local ClickHouse front over an engine whose only user has certain grants and settings.

``limited_clickhouse.py CONFIG --port PORT --data FOLDER``: the engine takes its users from the file CONFIG.
"""

import sys
from typing import Any

import chdb

from deploy.local import clickhouse_front


def main() -> int:
    """Run the front."""
    config, plain_connect = sys.argv.pop(1), chdb.connect

    def connect(url: str) -> Any:
        return plain_connect(f"{url}&config-file={config}")

    chdb.connect = connect
    return clickhouse_front.main()


if __name__ == "__main__":
    sys.exit(main())
