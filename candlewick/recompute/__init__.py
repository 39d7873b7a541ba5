"""A range of candles computed again, and held against those that are live."""
