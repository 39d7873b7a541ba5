"""Trades into candles, candles into rolling statistics."""
