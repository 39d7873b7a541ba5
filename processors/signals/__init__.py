"""Signals: what stands out in the 1m candles of all markets, side by side."""
