"""Parameters that several questions have."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from market.fields import MAX_NAME, MAX_TIME_US
from market.key import MarketKey

_no_name = re.compile(r"[\x00-\x1f\x7f:|]").search


def check_name(value: str) -> str:
    """A name that no record key can have is in no store."""
    if _no_name(value):
        raise ValueError("must not have a colon, a bar or a control character in it")
    return value


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(check_name)]
TimeMs = Annotated[int, Field(ge=0, lt=MAX_TIME_US // 1000)]


class Parameters(BaseModel):
    """Unknown parameters are refused: a misspelt limit would otherwise count as none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MarketQuery(Parameters):
    """Of one market."""

    exchange: Name
    symbol: Name

    @property
    def market(self) -> MarketKey:
        """The market asked about."""
        return MarketKey(self.exchange, self.symbol)
