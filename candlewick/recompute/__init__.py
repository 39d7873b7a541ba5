"""A range of candles computed again, and compared with those that are live."""
