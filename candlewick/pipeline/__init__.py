"""A run of the whole pipeline: which parts, in which order, until when; drained, verified."""
