"""A feature is examined as the engine runs it: on bars of which it can read what it declared, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pytest

from workbench.backtest import lookahead
from workbench.backtest.lookahead import Depth
from workbench.data.lake import Lake
from workbench.errors import InputRefused
from workbench.features.engine import evaluate
from workbench.types import Bars

FEW = Depth(cuts=4, combs=1, windows=2, cold=1)
SAID = "feature mine: compute reads 'volume', but its inputs are close; add 'volume' to inputs"


@dataclass(frozen=True)
class Asks:
    """Honest where the volume is there, which nobody declared; where it is not, it looks ahead."""

    name: str = "mine"
    inputs: tuple[str, ...] = ("close",)
    lookback: int = 5

    def compute(self, bars: Bars) -> pd.DataFrame:
        return bars.close.rolling(5, center=not hasattr(bars, "volume")).mean()


@dataclass(frozen=True)
class Reads(Asks):
    """Reads the volume, whether it declares it or not."""

    def compute(self, bars: Bars) -> pd.DataFrame:
        return bars.close.rolling(5).mean() * bars.volume.rolling(5).mean()


@dataclass(frozen=True)
class ReadsAtTimes(Asks):
    """Reads the volume only where the bars end at another day than those it was first given."""

    last: str = ""

    def compute(self, bars: Bars) -> pd.DataFrame:
        return bars.close.rolling(5).mean() if str(bars.index[-1].date()) == self.last else bars.volume


def test_a_feature_that_looks_ahead_only_where_a_field_it_did_not_declare_is_missing_is_caught(eventful):
    report = lookahead.examine(Asks(), eventful, depth=FEW)
    assert report.verdict == "reads ahead", str(report)
    assert (report.findings[0].field, report.findings[0].farthest_ahead) == ("close", 2)
    assert lookahead.examine(Asks(inputs=("close", "volume")), eventful, depth=FEW).clean


def test_a_feature_that_reads_what_it_did_not_declare_is_told_so_in_one_line_as_the_engine_does(eventful):
    with pytest.raises(InputRefused) as engine:
        evaluate([Reads()], eventful)
    with pytest.raises(InputRefused) as guard:
        lookahead.examine(Reads(), eventful, depth=FEW)
    assert str(engine.value) == SAID
    assert str(guard.value) == f"mine: it raises on the data itself, so nothing was examined: {SAID}"
    assert lookahead.examine(Reads(inputs=("close", "volume")), eventful, depth=FEW).clean


def test_what_a_feature_did_not_declare_and_reads_on_some_days_only_is_a_finding(eventful):
    finding = lookahead.examine(ReadsAtTimes(last=str(eventful.index[-1].date())), eventful, depth=FEW).findings[0]
    assert finding.kind == "fails"
    assert finding.text.endswith(f"as live would read them: {SAID}")


def test_on_a_lake_too_a_feature_reads_what_it_declared(lake: Lake):
    with pytest.raises(InputRefused) as refused:
        lookahead.examine(Reads(), lake, depth=FEW)
    assert str(refused.value) == f"mine: it raises on the lake itself, so nothing was examined: {SAID}"


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (("traded_close",), "features: input 'traded_close' is none of open, high, low, close, volume, sectors"),
        ("close", "features: inputs is 'close' (str); write a tuple of fields, such as ('close',)"),
    ],
)
def test_inputs_that_the_engine_refuses_the_guard_refuses_in_the_same_words(eventful, inputs, says):
    for refuses in (
        lambda: evaluate([Asks(inputs=inputs)], eventful),
        lambda: lookahead.examine(Asks(inputs=inputs), eventful),
    ):
        with pytest.raises(InputRefused) as refused:
            refuses()
        assert str(refused.value) == says
