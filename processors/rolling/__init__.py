"""Longer candles and tickers out of 1m candles, on faust."""
