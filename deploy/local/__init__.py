"""The one-machine stack: real Kafka, Redis and ClickHouse from wheels and Maven."""
