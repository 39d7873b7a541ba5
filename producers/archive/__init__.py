"""Recorded trades published as a run: exchange dumps, JSON lines and Parquet.

A file is read twice. The first reading parses every row and surveys ids and minutes; the second one publishes. So a
row that cannot be parsed, a wrong range or a finished run leaves nothing in the log. No file is ever held in memory as
a whole.
"""
