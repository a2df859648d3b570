"""Features of every family by name: what the look-ahead guard examines unless told otherwise, and where to begin.

>>> named()["momentum_4_week"].compute(bars)
"""

from __future__ import annotations

from collections.abc import Mapping

from workbench.features import technical
from workbench.features.alpha158 import alpha158
from workbench.features.crosssection import neutral, ranked, scored, winsorised
from workbench.features.indicators import classic_feature, talib_feature
from workbench.features.intraday import Intraday
from workbench.features.protocol import Family, Feature
from workbench.features.timeframe import monthly, weekly
from workbench.params import DataParams


def families(benchmark: str = DataParams().benchmark) -> Mapping[str, tuple[Feature | Family, ...]]:
    """Return features of each family; ``benchmark`` is the symbol that betas are taken to."""
    momentum, volatility = technical.momentum(126), technical.volatility(21)
    return {
        "technical": technical.basic(),
        "weeks and months": (weekly(technical.momentum(4)), monthly(technical.momentum(6))),
        "across symbols": (ranked(momentum), scored(volatility, limit=3.0), winsorised(volatility)),
        "neutral": (neutral(momentum), neutral(momentum, sector=False, beta=benchmark)),
        "TA-Lib": (talib_feature("ADX", timeperiod=14), talib_feature("MACD", output="macdhist")),
        "pandas-ta-classic": (
            classic_feature("fisher", output="FISHERT_9_1", length=9),
            classic_feature("dpo", length=20),
        ),
        "five minutes": (Intraday(),),
        "Alpha158": (alpha158(),),
    }


def named(benchmark: str = DataParams().benchmark) -> dict[str, Feature | Family]:
    """Return the same by name; a family that is computed in one scan has the name of its class."""
    return {name_of(each): each for some in families(benchmark).values() for each in some}


def name_of(part: Feature | Family) -> str:
    """Return the name of a feature, or of a family."""
    return part.name if isinstance(part, Feature) else type(part).__name__.lower()
