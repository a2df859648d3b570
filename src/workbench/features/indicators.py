"""Any indicator of TA-Lib or pandas-ta-classic by its name, as a feature.

>>> talib_feature("ADX", timeperiod=14)
>>> talib_feature("MACD", output="macdhist")
>>> classic_feature("fisher", length=9)            # pandas-ta-classic, with TA-Lib below it where it can
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter, signature
from math import ceil, log
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from workbench.errors import InputRefused, did_you_mean
from workbench.features.technical import each_symbol
from workbench.types import FIELDS, Bars

# These add up from the first bar on: their level says where the data began, and no lookback decides a row.
_ENDLESS = ("OBV", "AD")
_ENDLESS_CLASSIC = ("ad", "aobv", "drawdown", "nvi", "obv", "pvi", "pvt", "wad")
# These fit one line, or one histogram, over all rows: every row reads the last one.
_WHOLE_SAMPLE = ("tos_stdevall", "vp")
_SMOOTHED = "Function has an unstable period"
# TA-Lib does not flag these although they smooth exponentially, or remember a state.
_EXPONENTIAL = ("APO", "DEMA", "MACD", "MACDEXT", "MACDFIX", "PPO", "SAR", "SAREXT", "TEMA", "TRIX")
Number = int | float


@dataclass(frozen=True)
class Indicator:
    """One output of one indicator; ``lookback`` counts until what decays is below 1e-9."""

    by_symbol: ClassVar[bool] = True
    package: str
    function: str
    settings: tuple[tuple[str, Number], ...]
    output: str
    inputs: tuple[str, ...]
    lookback: int

    @property
    def name(self) -> str:
        """The column's name, such as ``talib_adx_14`` or ``talib_macd_macdhist``."""
        own = [] if self.output in ("", "real") else [self.output]
        return "_".join([self.package, self.function.lower(), *own, *(f"{value:g}" for _, value in self.settings)])

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol; a halted session is NaN and the indicator goes on with the next bar."""
        apply = _talib if self.package == "talib" else _classic
        return each_symbol(bars, self.inputs, lambda rows: apply(self, rows))


def talib_feature(function: str, output: str = "", **settings: Number) -> Indicator:
    """Return an indicator of TA-Lib, with the settings that TA-Lib names; the first output unless told."""
    import talib
    import talib.abstract

    name = function.upper()
    if name not in talib.get_functions():
        raise InputRefused(f"TA-Lib has no function '{function}'.{did_you_mean(name, talib.get_functions())}")
    if name in _ENDLESS:
        raise InputRefused(f"{name} adds up all volume since the first bar, so no lookback decides it; use its change")
    made = talib.abstract.Function(name)
    for setting in settings:
        if setting not in made.info["parameters"]:
            raise InputRefused(f"{name}: no setting '{setting}'.{did_you_mean(setting, made.info['parameters'])}")
    outputs = made.info["output_names"]
    if output and output not in outputs:
        raise InputRefused(f"{name}: no output '{output}'.{did_you_mean(output, outputs)}")
    inputs = _talib_inputs(name, made.info["input_names"])
    made.set_parameters(dict(settings))
    periods = [value for key, value in made.info["parameters"].items() if "period" in key]
    # A bar of Wilder's smoothing keeps 1 - 1/n of the past, of an exponential average 1 - 2/(n+1); some smooth twice.
    slowest = log(1e9) * max(periods, default=60)
    flagged = _SMOOTHED in (made.info["function_flags"] or [])
    decay = ceil(1.25 * slowest) if flagged else ceil(0.75 * slowest) if name in _EXPONENTIAL else 0
    return Indicator(
        "talib", name, tuple(sorted(settings.items())), output or outputs[0], inputs, made.lookback + 1 + decay
    )


def classic_feature(function: str, output: str = "", lookback: int | None = None, **settings: Number) -> Indicator:
    """Return an indicator of pandas-ta-classic; name the column where it gives several.

    ``lookback`` is how many bars decide a row; unless told, twenty times its longest setting.
    """
    import pandas_ta_classic as classic

    known = {name for names in classic.Category.values() for name in names}
    if function not in known:
        raise InputRefused(f"pandas-ta-classic has no indicator '{function}'.{did_you_mean(function, known)}")
    asked = signature(getattr(classic, function)).parameters
    inputs = tuple(name for name in asked if name in FIELDS or name == "open_")
    _check_classic(function, asked, inputs, settings)
    longest = max([*(int(value) for value in settings.values()), 20])
    return Indicator(
        "classic",
        function,
        tuple(sorted(settings.items())),
        output,
        tuple("open" if name == "open_" else name for name in inputs),
        20 * longest + 1 if lookback is None else lookback,
    )


def _check_classic(
    name: str, asked: Mapping[str, Parameter], inputs: Sequence[str], settings: Mapping[str, Number]
) -> None:
    """Refuse what reads the whole sample, what no lookback decides, and settings that the package would not notice."""
    if name in _WHOLE_SAMPLE:
        raise InputRefused(f"{name} fits the whole sample at once, so every row reads ahead; take a rolling indicator")
    if name in _ENDLESS_CLASSIC:
        raise InputRefused(f"{name} adds up from the first bar on, so no lookback decides it; use its change")
    free = [key for key, each in asked.items() if each.kind is not Parameter.VAR_KEYWORD and key not in inputs]
    for setting in settings:
        if setting not in free:
            raise InputRefused(f"{name}: no setting '{setting}'.{did_you_mean(setting, free)}")
    for key in free:
        if asked[key].default is Parameter.empty and key not in settings:
            raise InputRefused(f"{name} reads '{key}', which bars do not have; compute it in a feature of your own")


def _talib_inputs(name: str, told: dict[str, Any]) -> tuple[str, ...]:
    inputs: list[str] = []
    for value in told.values():
        inputs += [value] if isinstance(value, str) else list(value)
    strange = [each for each in inputs if each not in FIELDS]
    if strange:
        raise InputRefused(f"{name} reads '{strange[0]}', which bars do not have")
    return tuple(dict.fromkeys(inputs))


def _talib(indicator: Indicator, rows: pd.DataFrame) -> np.ndarray:
    import talib.abstract

    fields = {name: rows[name].to_numpy(dtype=float) for name in rows.columns}
    made = talib.abstract.Function(indicator.function)
    found = made(fields, **dict(indicator.settings))
    outputs = made.info["output_names"]
    chosen = found[outputs.index(indicator.output)] if len(outputs) > 1 else found
    return np.asarray(chosen, dtype=float)


def _classic(indicator: Indicator, rows: pd.DataFrame) -> np.ndarray:
    values = _classic_raw(indicator, rows)
    if values is None:
        return np.full(len(rows), np.nan)
    # Of fewer bars the package gives nothing, of more it fills these rows too: that would tell of bars to come.
    values[: _least_bars(indicator) - 1] = np.nan
    return values


def _classic_raw(indicator: Indicator, rows: pd.DataFrame) -> np.ndarray | None:
    """Return what the package gives, None for fewer bars than it needs."""
    import pandas_ta_classic as classic

    logging.getLogger("pandas_ta_classic").setLevel(logging.ERROR)  # too few bars are NaN here, not a warning
    fields = {("open_" if name == "open" else name): rows[name] for name in rows.columns}
    # Some indicators are drawn shifted back or centred unless told that they are to be traded on.
    options = {**dict(indicator.settings), "talib": True, "lookahead": False}
    found = getattr(classic, indicator.function)(**fields, **options)
    if isinstance(found, tuple):  # Ichimoku's second table is a forecast beyond the last bar
        found = found[0]
    if isinstance(found, pd.DataFrame):
        if indicator.output not in found.columns:
            near = did_you_mean(indicator.output, list(found.columns))
            raise InputRefused(f"{indicator.function}: gives several columns; name one as output.{near}")
        found = found[indicator.output]
    return None if found is None else np.array(found, dtype=float)


@lru_cache(maxsize=256)
def _least_bars(indicator: Indicator) -> int:
    """Return of how many bars the package begins to give something, by doubling and halving on bars made up."""
    size = 2 * indicator.lookback + 2
    close = 100.0 + np.sin(np.arange(size)) + 0.01 * np.arange(size)
    made = {"open": close - 0.1, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": 1e6 + close}
    rows = pd.DataFrame(made, index=pd.bdate_range("2000-01-03", periods=size))[list(indicator.inputs)]

    def gives(bars: int) -> bool:
        return _classic_raw(indicator, rows.iloc[:bars]) is not None

    enough = 1
    while enough < size and not gives(enough):
        enough *= 2
    return bisect_left(range(enough), True, lo=max(1, enough // 2), key=gives)
