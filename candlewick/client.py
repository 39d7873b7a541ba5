"""The client of the API, for programs of others: ``from candlewick.client import Client`` (docs/client.md)."""

from serving.client.answers import (
    ApiAnalysis,
    ApiCandle,
    ApiCandles,
    ApiCoverage,
    ApiDays,
    ApiEstimate,
    ApiHealth,
    ApiPage,
    ApiSpan,
    ApiTickers,
    ApiTrades,
)
from serving.client.client import Client
from serving.client.errors import ApiError, ApiProblemError
from serving.client.files import ApiFile
from serving.client.pages import CandlePages, RecordPages
from serving.media_types import AnswerForm
from serving.planner import RevisionChoice

__all__ = [
    "AnswerForm",
    "ApiAnalysis",
    "ApiCandle",
    "ApiCandles",
    "ApiCoverage",
    "ApiDays",
    "ApiError",
    "ApiEstimate",
    "ApiFile",
    "ApiHealth",
    "ApiPage",
    "ApiProblemError",
    "ApiSpan",
    "ApiTickers",
    "ApiTrades",
    "CandlePages",
    "Client",
    "RecordPages",
    "RevisionChoice",
]
