"""The warm store: every trade, 1m candle, ticker and feed event, in ClickHouse."""
