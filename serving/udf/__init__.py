"""TradingView's UDF protocol over our tiers: what its charting library asks of a server."""
