"""The candle engine: `md.trades.v1` in, `md.candles.1m.v1` out, exactly once."""
