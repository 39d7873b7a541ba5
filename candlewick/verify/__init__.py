"""The verifier: holds the log and the stores against the simulator's own record of what it sent.

It shares no code with the fold, the codec or the sinks' readers: records are read as plain JSON, amounts as whole
numbers, the stores by their own raw queries. So a mistake in one of those cannot hide here.
"""
