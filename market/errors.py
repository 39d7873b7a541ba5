"""The one error of hostile or broken bytes."""


class MalformedError(ValueError):
    """A record's bytes or headers are not what the topic's format says; the message tells which part."""
