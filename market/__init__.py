"""The market's nouns and their exact arithmetic: pure, without I/O and without a clock."""
