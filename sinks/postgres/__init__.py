"""PostgreSQL: every trade, 1m candle, ticker, funding rate, instrument and feed event; with TimescaleDB or without."""
