"""The names of the forms that answers have, and how a client asks for one. Pure."""

from enum import StrEnum
from functools import lru_cache


class AnswerForm(StrEnum):
    """How an answer is written."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"
    """An IPC stream."""
    PARQUET = "parquet"


MEDIA_TYPES = {
    AnswerForm.JSON: "application/json",
    AnswerForm.NDJSON: "application/x-ndjson",
    AnswerForm.CSV: "text/csv",
    AnswerForm.ARROW: "application/vnd.apache.arrow.stream",
    AnswerForm.PARQUET: "application/vnd.apache.parquet",
}
AWAY_HEADER = "Candlewick-Away"
"""Of a stream: the tiers that did not answer before it began."""
_BY_MEDIA_TYPE = {media_type: form for form, media_type in MEDIA_TYPES.items()}


@lru_cache(maxsize=256)
def accepted_form(accept: str) -> AnswerForm:
    """The first form in an `Accept` header that we have; JSON where there is none. Weights are not looked at."""
    asked = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return next((_BY_MEDIA_TYPE[name] for name in asked if name in _BY_MEDIA_TYPE), AnswerForm.JSON)
