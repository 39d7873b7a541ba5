"""TradingView's names of candle lengths: minutes without a unit (``60``), ``1D``, ``1W``, ``1M``. Pure."""

import re

from serving.lengths import CandleLength

INTRADAY = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "480", "720")
SUPPORTED = (*INTRADAY, "1D", "3D", "1W", "1M")
"""Offered by name; any other number of minutes, days, weeks or months, up to a year, is answered too."""
_form = re.compile(r"([1-9][0-9]{0,5})?([DWM]?)", re.ASCII).fullmatch
_UNITS = {"": "m", "D": "d", "W": "w", "M": "M"}


def length_of(resolution: str) -> CandleLength:
    """The length; ``D`` is ``1D``. Raises `ValueError`."""
    match = _form(resolution.upper())
    if match is None or not resolution:
        raise ValueError(f"unknown resolution {resolution}: give minutes, or days, weeks or months as 1D, 1W, 1M")
    return CandleLength.parse(f"{match[1] or 1}{_UNITS[match[2]]}")
