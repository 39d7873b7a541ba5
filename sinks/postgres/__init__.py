"""PostgreSQL: all that the warm store keeps, with TimescaleDB or without."""
