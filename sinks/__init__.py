"""From Kafka into stores: one runner for all stores, one folder for each."""
