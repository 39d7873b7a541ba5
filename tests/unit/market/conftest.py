"""Bounded examples without a deadline: the machine may be busy, and the folder has to run in seconds."""

from hypothesis import settings

settings.register_profile("market", max_examples=60, deadline=None, database=None)
settings.load_profile("market")
