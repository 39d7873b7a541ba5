"""History over REST, published as runs: an exchange's pages are a source of rows, as files are for an import.

The minutes that the log lacks are fetched chunk by chunk into a spool file, and each chunk is imported
(`producers.archive`). So the law of imports holds, and a backfill that was interrupted goes on where the log ends.
"""
