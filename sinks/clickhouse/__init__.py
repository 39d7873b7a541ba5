"""The warm store: every trade, 1m candle, ticker, funding rate, instrument, feed event, signal, bar: ClickHouse."""
