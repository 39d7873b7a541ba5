"""The commands, one file a group; `candlewick.cli` puts them together."""
