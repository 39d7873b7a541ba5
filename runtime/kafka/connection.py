"""How a client reaches the brokers, and the only place where Kafka's errors become ours."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from runtime.errors import CandlewickError, UnavailableError
from runtime.settings import Settings, kafka_address


def connection(settings: Settings) -> dict[str, Any]:
    """The keyword arguments that every aiokafka client takes."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": kafka_address(settings),
        "security_protocol": settings.kafka_security,
    }
    if settings.kafka_security.startswith("SASL"):
        password = settings.kafka_password.get_secret_value() if settings.kafka_password else None
        arguments |= {
            "sasl_mechanism": settings.kafka_sasl,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": password,
        }
    if settings.kafka_security.endswith("SSL"):
        arguments["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ca)
    return arguments


@contextmanager
def kafka_errors(settings: Settings, doing: str) -> Iterator[None]:
    """Turn the client's errors into ours, with one sentence that says what was being done."""
    try:
        yield
    except KafkaConnectionError as error:
        raise UnavailableError(
            f"Kafka at {kafka_address(settings)} does not answer while {doing}: "
            "is it running (candlewick stack status), is CANDLEWICK_KAFKA right?"
        ) from error
    except UnknownTopicOrPartitionError as error:
        raise CandlewickError(f"a topic is missing while {doing}: run candlewick topics apply") from error
    except TopicAuthorizationFailedError as error:
        raise CandlewickError(f"Kafka refuses access while {doing}: {error}; check the ACLs of this user") from error
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise UnavailableError(
            f"a record is larger than its topic takes while {doing}: raise the topic's max.message.bytes"
        ) from error
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise UnavailableError(f"Kafka's client gave up by itself while {doing}") from error
    except KafkaError as error:
        raise UnavailableError(f"Kafka failed while {doing}: {type(error).__name__} {error}".rstrip()) from error


def is_cancelled() -> bool:
    """Whether somebody cancelled the current task; if not, a `CancelledError` comes from aiokafka's tasks or futures.

    aiokafka passes such errors on if a connection breaks while it stops. If we took one for our own cancellation, it
    would end the process.
    """
    own = asyncio.current_task()
    return own is None or own.cancelling() > 0
