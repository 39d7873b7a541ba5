"""Binance's spot REST API over our tiers, for clients that are written for Binance."""
