"""How the pipeline stands, read from Kafka: lag, newest markers, gaps."""
