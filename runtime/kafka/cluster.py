"""Whether a cluster is there."""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError


async def live_brokers(servers: str, *, timeout_s: float) -> int:
    """How many brokers the cluster at `servers` says are alive; 0 where nobody answers in time."""
    client: Any = AIOKafkaClient(bootstrap_servers=servers, request_timeout_ms=int(timeout_s * 1000))
    try:
        await asyncio.wait_for(client.bootstrap(), timeout_s)
        return len(client.cluster.brokers())
    except (KafkaError, TimeoutError):
        return 0
    finally:
        await client.close()
