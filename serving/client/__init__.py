"""The API's own client for Python: what it answers, as typed values with exact decimals."""
