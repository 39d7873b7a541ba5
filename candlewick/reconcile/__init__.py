"""Our 1m candles held against the exchange's own klines, field by field."""
