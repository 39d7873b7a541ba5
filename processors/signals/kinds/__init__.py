"""The kinds of signals: each is a function from a minute and the day before it to what it measures."""
