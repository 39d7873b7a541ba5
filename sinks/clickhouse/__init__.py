"""The warm tier."""
