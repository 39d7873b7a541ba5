"""Longer candles and sliding tickers out of 1m candles: a pure core, and a thin Faust shell around it."""
