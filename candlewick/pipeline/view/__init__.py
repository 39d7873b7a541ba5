"""What a run shows: a live view on a terminal, one line every few seconds elsewhere."""
