"""How many rows or symbols a question may ask for, and how many it gets if it does not say. Pure."""

DEFAULT_CANDLES = 500
DEFAULT_TRADES = 100
MAX_SYMBOLS = 50
DEFAULT_RECORDS, MAX_RECORDS = 500, 10_000
