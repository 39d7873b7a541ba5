"""Settings: the one module that reads the environment.

Every setting is `CANDLEWICK_<NAME>` in the environment, a line in `candlewick.env` in the working folder, or a file
of that name under `CANDLEWICK_SECRETS` (a folder, as Kubernetes mounts them); flags of the command line win over all.
"""

import json
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from market.topics import Topics
from runtime.errors import UsageError
from runtime.wrong_setting import allowed_words

ENV_PREFIX = "CANDLEWICK_"
_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP)")
"""Kubernetes sets these, and NAME_PORT=tcp://…, for every Service: one that is called candlewick makes no typo."""


class LogLevel(StrEnum):
    """From which level on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class KafkaSecurity(StrEnum):
    """Kafka's `security.protocol`."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    """Kafka's `sasl.mechanism`: those that need a user and a password."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class WithoutRedis(StrEnum):
    """What the API does while nobody counts what callers ask."""

    OPEN = "open"
    CLOSED = "closed"


def _matching(pattern: str, wanted: str) -> AfterValidator:
    """Text that matches `pattern`; else the error says that `wanted` has to be given."""

    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(wanted)
        return value

    return AfterValidator(check)


_ws_host = _matching("wss?://.+[^/]", "give wss://HOST or ws://HOST:PORT, without a slash at the end")
_rest_host = _matching("https?://.+[^/]", "give https://HOST or http://HOST:PORT, without a slash at the end")


class Settings(BaseSettings):
    """What all parts share. `load_settings` builds it with errors that a person can read."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_file="candlewick.env", frozen=True, extra="ignore")

    home: Annotated[Path, Field(description="the data folder of the one-machine stack")] = Path(".candlewick")
    cache: Annotated[Path, Field(description="where the one-machine stack keeps what it downloaded")] = Path(
        "~/.cache/candlewick"
    )
    kafka_port: Annotated[
        int | None, Field(description="the local stack's Kafka port; unset: 9092 or the next free one", ge=0, le=65535)
    ] = None
    redis_port: Annotated[
        int | None, Field(description="the local stack's Redis port; unset: 6379 or the next free one", ge=0, le=65535)
    ] = None
    clickhouse_port: Annotated[
        int | None,
        Field(description="the local stack's ClickHouse port; unset: 8123 or the next free one", ge=0, le=65535),
    ] = None
    postgres_port: Annotated[
        int | None,
        Field(description="the local stack's PostgreSQL port; unset: 5432 or the next free one", ge=0, le=65535),
    ] = None
    kafka: Annotated[
        str | None,
        Field(description="Kafka bootstrap servers; unset: the local stack's"),
        _matching(r"([^,]+:\d+\s*(,[^,]+:\d+\s*)*)?", "give HOST:PORT, several with commas between them"),
    ] = None
    kafka_security: Annotated[
        KafkaSecurity, Field(description="security protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    ] = KafkaSecurity.PLAINTEXT
    kafka_sasl: Annotated[SaslMechanism, Field(description="SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")] = (
        SaslMechanism.PLAIN
    )
    kafka_user: Annotated[str | None, Field(description="SASL user")] = None
    kafka_password: Annotated[SecretStr | None, Field(description="SASL password")] = None
    kafka_ca: Annotated[Path | None, Field(description="CA certificate file of the brokers")] = None
    redis: Annotated[
        SecretStr | None,
        Field(description="Redis URL, of a cluster redis+cluster://HOST:PORT; unset: the local stack's"),
    ] = None
    clickhouse: Annotated[SecretStr | None, Field(description="ClickHouse HTTP URL; unset: the local stack's")] = None
    clickhouse_database: Annotated[
        str,
        Field(description="ClickHouse database"),
        _matching(r"[A-Za-z_]\w*", "give a name of letters, digits and _ that does not begin with a digit"),
    ] = "candlewick"
    postgres: Annotated[
        SecretStr | None, Field(description="PostgreSQL URL with its database; unset: the local stack's")
    ] = None
    postgres_keep_days: Annotated[
        int | None, Field(description="days after which trades leave PostgreSQL; unset: they stay", ge=1)
    ] = None
    cold: Annotated[
        str | None, Field(description="cold store URL (file://, s3://, gs://, az://); unset: the local stack's")
    ] = None
    prefix: Annotated[
        str,
        Field(description="put before every topic, group and Redis key"),
        _matching(r"[A-Za-z0-9._-]*", "use only letters, digits, dots, _ and -"),
    ] = ""
    partitions: Annotated[
        int, Field(description="partitions of every topic, fixed for the life of .v1", ge=1, le=1000)
    ] = 12
    replication: Annotated[int, Field(description="replicas of every topic", ge=1, le=9)] = 1
    binance_ws: Annotated[str, Field(description="Binance's WebSocket host"), _ws_host] = (
        "wss://data-stream.binance.vision"
    )
    binance_rest: Annotated[str, Field(description="Binance's REST host"), _rest_host] = (
        "https://data-api.binance.vision"
    )
    binance_usdm_ws: Annotated[str, Field(description="Binance's USD-M WebSocket host"), _ws_host] = (
        "wss://fstream.binance.com"
    )
    binance_usdm_rest: Annotated[str, Field(description="Binance's USD-M REST host"), _rest_host] = (
        "https://fapi.binance.com"
    )
    coinbase_ws: Annotated[str, Field(description="Coinbase Exchange's WebSocket host"), _ws_host] = (
        "wss://ws-feed.exchange.coinbase.com"
    )
    coinbase_rest: Annotated[str, Field(description="Coinbase Exchange's REST host"), _rest_host] = (
        "https://api.exchange.coinbase.com"
    )
    kraken_ws: Annotated[str, Field(description="Kraken's WebSocket host"), _ws_host] = "wss://ws.kraken.com"
    kraken_rest: Annotated[str, Field(description="Kraken's REST host"), _rest_host] = "https://api.kraken.com"
    okx_ws: Annotated[str, Field(description="OKX's WebSocket host"), _ws_host] = "wss://ws.okx.com:8443"
    okx_rest: Annotated[str, Field(description="OKX's REST host"), _rest_host] = "https://www.okx.com"
    bybit_ws: Annotated[str, Field(description="Bybit's WebSocket host"), _ws_host] = "wss://stream.bybit.com"
    bybit_rest: Annotated[str, Field(description="Bybit's REST host"), _rest_host] = "https://api.bybit.com"
    bitstamp_ws: Annotated[str, Field(description="Bitstamp's WebSocket host"), _ws_host] = "wss://ws.bitstamp.net"
    bitstamp_rest: Annotated[str, Field(description="Bitstamp's REST host"), _rest_host] = "https://www.bitstamp.net"
    ccxt_ws: Annotated[
        str | None, Field(description="WebSocket host of a bridge to ccxt; unset: the producer starts one"), _ws_host
    ] = None
    ccxt_rest: Annotated[
        str | None, Field(description="REST host of a bridge to ccxt; unset: the producer starts one"), _rest_host
    ] = None
    keys: Annotated[Path | None, Field(description="file of API keys; unset: keys.json in the data folder")] = None
    anonymous: Annotated[
        bool | None,
        Field(
            description="whether the API answers without a key, as tier free; unset: on loopback only, without limit"
        ),
    ] = None
    free_weight: Annotated[int, Field(description="weight a minute of the API's tier free; 0: no limit", ge=0)] = 100
    pro_weight: Annotated[int, Field(description="weight a minute of tier pro; 0: no limit", ge=0)] = 1_000
    enterprise_weight: Annotated[int, Field(description="weight a minute of tier enterprise; 0: no limit", ge=0)] = (
        10_000
    )
    without_redis: Annotated[
        WithoutRedis, Field(description="the API while Redis cannot count weights: open (no limit) or closed (503)")
    ] = WithoutRedis.OPEN
    cors: Annotated[
        str, Field(description="origins whose pages may ask the API, commas between them; *: all; unset: none")
    ] = ""
    tls_certificate: Annotated[Path | None, Field(description="certificate chain of the API (PEM); unset: HTTP")] = None
    tls_key: Annotated[Path | None, Field(description="its private key (PEM, PKCS 8)")] = None
    audit: Annotated[Path | None, Field(description="file with a line for each request to the API; unset: none")] = None
    api: Annotated[str, Field(description="address of the API, for candlewick mcp"), _rest_host] = (
        "http://127.0.0.1:8080"
    )
    api_key: Annotated[SecretStr | None, Field(description="API key of candlewick mcp")] = None
    analysis_url: Annotated[
        str | None,
        Field(description="OpenAI-compatible model server for /v1/analyze, such as http://HOST/v1; unset: none"),
        _rest_host,
    ] = None
    analysis_key: Annotated[SecretStr | None, Field(description="its API key")] = None
    analysis_model: Annotated[str | None, Field(description="the model's name there")] = None
    analysis_tokens: Annotated[int, Field(description="tokens of a prompt, at most", ge=2_000)] = 16_000
    analysis_answer_tokens: Annotated[int, Field(description="tokens of a model's answer, at most", ge=1)] = 1_500
    fill_timeout_s: Annotated[
        float, Field(description="seconds after which missing trades that do not come are a hole", gt=0)
    ] = 1200.0
    stall_timeout_s: Annotated[
        float, Field(description="seconds of unread records and no progress after which a processor ends", gt=0)
    ] = 45.0
    progress_s: Annotated[float, Field(description="seconds between two progress lines of a stage", gt=0)] = 10.0
    log_level: Annotated[LogLevel, Field(description="debug, info, warning or error")] = LogLevel.INFO
    metrics_port: Annotated[int, Field(description="port of /metrics; 0: none", ge=0, le=65535)] = 0

    @property
    def topics(self) -> Topics:
        """The topic and group names."""
        return Topics(prefix=self.prefix, partitions=self.partitions)


def load_settings(**overrides: object) -> Settings:
    """The settings of the environment and files, with `overrides` (flags) on top; a wrong one is a `UsageError`."""
    given = {name: value for name, value in overrides.items() if value is not None}
    secrets = os.environ.get(f"{ENV_PREFIX}SECRETS")
    try:
        return Settings(_secrets_dir=secrets, **given)  # type: ignore[call-arg,arg-type]  # pydantic's own way
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        field = Settings.model_fields[name]
        spoken = f"--{name.replace('_', '-')}" if name in given else variable(name)
        value = "" if "Secret" in str(field.annotation) else f" is '{wrong['input']}'"
        raise UsageError(f"{spoken}{value}: {allowed_words(wrong, field)}") from None


def variable(name: str) -> str:
    """The environment variable of the setting `name`."""
    return f"{ENV_PREFIX}{name.upper()}"


def unknown_variables() -> dict[str, str | None]:
    """Variables in the environment and `candlewick.env` that look like settings and are none: each with the nearest."""
    known = ["SECRETS", *map(str.upper, Settings.model_fields)]
    unknown = [name for name in sorted(set(_given())) if name.removeprefix(ENV_PREFIX) not in known]
    nearest = {name: get_close_matches(name.removeprefix(ENV_PREFIX), known, n=1) for name in unknown}
    return {name: variable(near[0]) if near else None for name, near in nearest.items()}


def _given() -> Iterator[str]:
    for source in (EnvSettingsSource(Settings), DotEnvSettingsSource(Settings)):
        for name, value in source.env_vars.items():
            of_ours = name.upper().startswith(ENV_PREFIX)
            if of_ours and not _OF_KUBERNETES.search(name.upper()) and not (value or "").startswith(("tcp:", "udp:")):
                yield name.upper()


def child_environment(settings: Settings, **more: str) -> dict[str, str]:
    """The environment in which a process of ours has exactly these settings, and `more` of them by name.

    Passwords travel in it rather than in a command line, which every user of the machine can read. Unknown variables,
    of which this process has warned, stay behind.
    """
    own = {**settings.model_dump(exclude_none=True), **more}
    plain = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in own.items()}
    unknown = unknown_variables()
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in unknown}
    return inherited | {variable(name): str(value) for name, value in plain.items()}


def kafka_address(settings: Settings) -> str:
    """Bootstrap servers: the setting, else the running local stack's."""
    return settings.kafka or _local(settings, "kafka")


def redis_address(settings: Settings) -> str:
    """Redis URL: the setting, else the running local stack's."""
    return settings.redis.get_secret_value() if settings.redis else _local(settings, "redis")


def clickhouse_address(settings: Settings) -> str:
    """ClickHouse HTTP URL: the setting, else the running local stack's."""
    return settings.clickhouse.get_secret_value() if settings.clickhouse else _local(settings, "clickhouse")


def postgres_address(settings: Settings) -> str:
    """PostgreSQL URL: the setting, else that of the local stack, which has a PostgreSQL where it was asked for."""
    given = settings.postgres
    return given.get_secret_value() if given else _local(settings, "postgres", " --with postgres")


def cold_address(settings: Settings) -> str:
    """Cold store URL: the setting, else the running local stack's."""
    return settings.cold or _local(settings, "cold")


def stack_file(settings: Settings) -> Path:
    """Where the running local stack says its addresses: ``{"kafka": …, "redis": …, "clickhouse": …, "cold": …}``.

    ``postgres`` is there too if it was asked for.
    """
    return settings.home / "stack.json"


def _local(settings: Settings, part: str, flags: str = "") -> str:
    missing = UsageError(
        f"no {part} to talk to: start the local stack (candlewick stack up{flags}) or set {variable(part)}"
    )
    try:
        address = json.loads(stack_file(settings).read_bytes()).get(part)
    except FileNotFoundError:
        raise missing from None
    except (ValueError, AttributeError):
        raise UsageError(
            f"{stack_file(settings)} is broken: run candlewick stack down, then candlewick stack up"
        ) from None
    if not address:
        raise missing
    return str(address)
