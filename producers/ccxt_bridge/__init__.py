"""Exchanges of the library ccxt, behind a small server on this machine: they look like one exchange of our own."""
