"""Captures: the raw frames of a feed's connections with their receive times, kept in files and read back."""
