"""What every part runs on: settings, the only Kafka client code, lifecycle, telemetry."""
