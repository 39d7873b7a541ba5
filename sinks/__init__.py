"""From Kafka into stores: one runner for all, one folder a store."""
