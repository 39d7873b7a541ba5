"""Exchange trades and history into Kafka: feeds, gap fill, imports, and a simulated exchange."""
