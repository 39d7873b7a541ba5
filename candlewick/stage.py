"""How the command of a stage on Kafka begins: its settings, its logs, its first line."""

from candlewick.common import Common
from candlewick.health.lag import inputs
from runtime.settings import Settings, kafka_address
from runtime.telemetry import VERSION, configure_logs, logger


def begin_stage(stage: str, common: Common, **about: object) -> Settings:
    """The settings of a stage, once its logs are configured and its first line is written.

    The first line says the version, the brokers, the group and its topics (of a stage that has one), and `about`.
    """
    settings = common.settings()
    configure_logs(settings)
    topics = inputs(settings.topics).get(stage)
    reading = {"group": settings.topics.group(stage), "topics": topics} if topics else {}
    logger(stage).info("starting", version=VERSION, kafka=kafka_address(settings), **reading, **about)
    return settings
