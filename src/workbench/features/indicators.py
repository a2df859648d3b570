"""Any indicator of TA-Lib or pandas-ta-classic by its name, as a feature.

>>> talib_feature("ADX", timeperiod=14)
>>> talib_feature("MACD", output="macdhist")
>>> classic_feature("fisher", length=9)            # pandas-ta-classic, with TA-Lib below it where it can
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from math import ceil, log
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import InputRefused, did_you_mean
from workbench.features.technical import each_symbol
from workbench.types import FIELDS, Bars

# These add up from the first bar on: their level says where the data began, and no lookback decides a row.
_ENDLESS = ("OBV", "AD")
_SMOOTHED = "Function has an unstable period"
# TA-Lib does not flag these although they smooth exponentially, or remember a state.
_EXPONENTIAL = ("APO", "DEMA", "MACD", "MACDEXT", "MACDFIX", "PPO", "SAR", "SAREXT", "TEMA", "TRIX")
Number = int | float


@dataclass(frozen=True)
class Indicator:
    """One output of one indicator; ``lookback`` counts until what decays is below 1e-9."""

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
    longest = max([*(int(value) for value in settings.values()), 20])
    return Indicator(
        "classic",
        function,
        tuple(sorted(settings.items())),
        output,
        tuple("open" if name == "open_" else name for name in inputs),
        20 * longest + 1 if lookback is None else lookback,
    )


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
    import pandas_ta_classic as classic

    fields = {("open_" if name == "open" else name): rows[name] for name in rows.columns}
    found = getattr(classic, indicator.function)(**fields, talib=True, **dict(indicator.settings))
    if found is None:  # fewer bars than it needs
        return np.full(len(rows), np.nan)
    if isinstance(found, pd.DataFrame):
        if indicator.output not in found.columns:
            near = did_you_mean(indicator.output, list(found.columns))
            raise InputRefused(f"{indicator.function}: gives several columns; name one as output.{near}")
        found = found[indicator.output]
    return np.asarray(found, dtype=float)
