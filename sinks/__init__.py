"""Kafka into stores: one runner, one folder a store."""
