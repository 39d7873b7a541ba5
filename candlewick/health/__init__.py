"""The state of the pipeline, read from Kafka: lag, newest markers, gaps, trouble."""
