"""Recorded trades published as a run: exchange dumps, JSON lines and Parquet.

A file is read twice. The first reading parses every row and surveys ids and minutes; only then is anything published,
so a row that cannot be parsed, a range that is not covered or a run that is finished costs nothing in the log. The
second reading publishes. No file is ever held whole.
"""
