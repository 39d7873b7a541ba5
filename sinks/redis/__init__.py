"""The hot tier."""
