"""A run of the whole pipeline: its stages are started in order, watched, drained, and verified."""
