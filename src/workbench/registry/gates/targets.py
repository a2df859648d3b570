"""Is it good enough to be worth it? Targets: a miss warns under ``profile: research``, and fails under ``strict``."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from workbench.registry.gates.case import Case
from workbench.registry.gates.facts import Unknown
from workbench.registry.gates.gate import BELIEVABLE_SHARPE, STRICT, Gate, counted, fails, number, passes, percent
from workbench.registry.gates.skill import STATISTICS, sharpe
from workbench.registry.gates.verdict import Outcome, Verdict


def _no_pass(miss: Outcome) -> Outcome:
    if miss is Outcome.PASS:
        raise ValueError("a missed target cannot pass; write warn, review or fail")
    return miss


# What a miss is: by the profile, where the file does not say it for a gate.
Miss = Annotated[Outcome, Field(strict=False), AfterValidator(_no_pass)]
MISSES = {"research": Outcome.WARN, "strict": Outcome.FAIL}


@dataclass(frozen=True, config=STRICT)
class Drawdown:
    """The largest loss from a high, out of sample, is one that its owner would sit through."""

    below: Annotated[float, Field(gt=0.0, le=1.0)]
    miss: Miss = Outcome.FAIL
    name: ClassVar[str] = "drawdown"

    @property
    def asked(self) -> str:
        return f"< {percent(self.below, digits=0)}"

    def judge(self, case: Case) -> Verdict:
        lost = -case.facts(STATISTICS).at("out_of_sample").at("max_drawdown").number(-1.0, 0.0)
        measured = percent(lost, self.below, digits=1)
        if lost >= self.below:
            return _missed(self, measured, "sizing.target_volatility lower", case, self.miss)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Sharpe:
    """The Sharpe ratio a year, out of sample and after costs, is worth a person's time."""

    above: Annotated[float, Field(ge=0.0, le=BELIEVABLE_SHARPE)]
    miss: Miss = Outcome.FAIL
    name: ClassVar[str] = "sharpe"

    @property
    def asked(self) -> str:
        return f"> {self.above:g}"

    def judge(self, case: Case) -> Verdict:
        found = sharpe(case, "out_of_sample")
        measured = number(found, self.above)
        if found <= self.above:
            return _missed(self, measured, "a better signal", case, self.miss)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class ProfitFactor:
    """Winning round trips earned more than the losing ones lost, by this factor."""

    above: Annotated[float, Field(ge=1.0, le=100.0)]
    miss: Miss = Outcome.FAIL
    name: ClassVar[str] = "profit_factor"

    @property
    def asked(self) -> str:
        return f"> {self.above:g}"

    def judge(self, case: Case) -> Verdict:
        out = case.facts(STATISTICS).at("out_of_sample")
        factor, trades = out.at("profit_factor").number(0.0), out.at("trades").count()
        if not trades:
            raise Unknown("no round trip was closed, so nothing was won or lost", case.again)
        measured = f"{number(factor, self.above)} in {counted(trades, 'round trip')}"
        if factor <= self.above:
            return _missed(self, measured, "fewer losing trades", case, self.miss)
        return passes(self, measured)


def _missed(gate: Gate, measured: str, way: str, case: Case, miss: Outcome) -> Verdict:
    return fails(gate, measured, "below the target", f"{way}, then: {case.again}", miss)
