"""The hot store: the latest of everything, in Redis; a cache that can always be refilled."""
