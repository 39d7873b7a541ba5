"""Longer candles and sliding tickers out of 1m candles: a pure core (roll, column, ticker, rolling) and a Faust shell."""
