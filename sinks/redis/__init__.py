"""The hot store: latest trades, open and recent candles, tickers, in Redis; a cache that can always be refilled."""
