"""A ClickHouse engine of a test's own, whose only user has certain grants."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from eventually import eventually

from deploy.local.ports import any_free_port
from runtime.settings import Settings, load_settings

_FOR_THE_FRONT = ("SHOW DATABASES ON default.*", "SELECT ON system.errors")
"""For requests without a database, and for inserts; a server asks for no right there."""
_USERS = """<clickhouse>
<profiles><default><readonly>{readonly}</readonly></default></profiles><quotas><default/></quotas>
<users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile>
<quota>default</quota><grants>{grants}</grants></default></users></clickhouse>"""
_CONFIG = (
    """<clickhouse><user_directories><users_xml><path>{users}</path></users_xml></user_directories></clickhouse>"""
)


class WarmFolder:
    """A data folder, served again and again, each time for a user with other rights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def serving(self, grants: Sequence[str], *, readonly: int = 0) -> AsyncIterator[Settings]:
        """Settings that point at the engine."""
        users, config = self._folder / "users.xml", self._folder / "config.xml"
        granted = "".join(f"<query>GRANT {grant}</query>" for grant in (*grants, *_FOR_THE_FRONT))
        users.write_text(_USERS.format(grants=granted, readonly=readonly))
        config.write_text(_CONFIG.format(users=users))
        port = any_free_port()
        script = Path(__file__).with_name("limited_clickhouse.py")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), str(config), "--port", str(port), "--data", str(self._folder / "data")
        )
        settings = load_settings(
            home=self._folder, clickhouse=f"http://127.0.0.1:{port}", kafka="nowhere:1", redis="redis://nowhere"
        )
        try:
            assert await eventually(lambda: _answers(port), timeout_s=60)
            yield settings
        finally:
            process.terminate()
            await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
