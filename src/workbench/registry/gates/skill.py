"""Is it skill: out of sample, above the luck of everything that was tried, for long enough, and after higher costs?"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from workbench.registry.gates.case import Case
from workbench.registry.gates.facts import Facts, Unknown
from workbench.registry.gates.gate import (
    BELIEVABLE_SHARPE,
    STRICT,
    Count,
    Share,
    counted,
    fails,
    number,
    passes,
    percent,
)
from workbench.registry.gates.verdict import Outcome, Verdict
from workbench.registry.packs.curves import CURVES, returns_in

STATISTICS = "statistics.json"


@dataclass(frozen=True, config=STRICT)
class OutOfSample:
    """Most of the Sharpe ratio that the training windows showed lasts out of sample."""

    min_share: Annotated[float, Field(ge=0.0, le=2.0)]
    name: ClassVar[str] = "out_of_sample"

    @property
    def asked(self) -> str:
        return f"Sharpe ratio ≥ {self.min_share:g} × in sample"

    def judge(self, case: Case) -> Verdict:
        trained, traded = (sharpe(case, sample) for sample in ("in_sample", "out_of_sample"))
        measured = f"{number(traded)} out of sample, {number(trained)} in sample"
        again = f"mend the strategy or its grid, then: {case.again}"
        if trained <= 0.0:
            return fails(self, measured, "it earned nothing in sample, so there is nothing to keep", again)
        share = traded / trained
        measured = f"{number(share, self.min_share)} ×: {measured}"
        if share < self.min_share:
            return fails(self, measured, "what was chosen in training did not last", again)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Folds:
    """More than this share of the test windows had a score above zero; one that did not trade had none."""

    above_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    min_folds: Count
    name: ClassVar[str] = "folds"

    @property
    def asked(self) -> str:
        return f"more than {percent(self.above_share)} of ≥ {counted(self.min_folds, 'fold')} positive"

    def judge(self, case: Case) -> Verdict:
        scores = [fold.at("test_score") for fold in case.facts(STATISTICS).at("folds").rows()]
        good = sum(score.value is not None and score.number() > 0.0 for score in scores)
        measured = f"{good} of {counted(len(scores), 'fold')} positive"
        if len(scores) < self.min_folds:
            remedy = f"set walk_forward.test_sessions lower or ingest more years, then: {case.again}"
            return fails(self, measured, "too few folds to tell", remedy)
        if good <= self.above_share * len(scores):
            return fails(self, measured, "it earned in too few of its test years", f"mend it, then: {case.again}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class DeflatedSharpe:
    """Luck does not explain what is left beside the market, once everything ever tried for its question is counted."""

    min: Annotated[float, Field(ge=0.5, lt=1.0)]
    name: ClassVar[str] = "deflated_sharpe"

    @property
    def asked(self) -> str:
        return f"≥ {self.min:g} with all trials"

    def judge(self, case: Case) -> Verdict:
        found, ledger = case.facts(STATISTICS).at("overfitting"), case.facts("trials.json")
        counted_in, bets, known = (
            facts.count() for facts in (found.at("trials"), found.at("effective_trials"), ledger.at("trials"))
        )
        if counted_in < max(known, 1) or not 1 <= bets <= counted_in:
            raise Unknown(
                f"overfitting counts {counted(counted_in, 'trial')} ({counted(bets, 'bet')}), the ledger {known:,}: "
                "it must count them all",
                case.again,
            )
        probability = overfit_number(found, "dsr", 0.0, 1.0, case)
        measured = f"{number(probability, self.min)} with {counted(counted_in, 'trial')} ({counted(bets, 'bet')})"
        elsewhere = ledger.at("elsewhere").count()
        if elsewhere:
            measured += f", and {counted(elsewhere, 'trial')} of it under other questions"
        if probability < self.min:
            why = "the best of so many worthless trials may show as much"
            remedy = f"more years of data or a better idea, not more trials: each one counts; then: {case.again}"
            return fails(self, measured, why, remedy)
        if elsewhere:
            why = "a search in other words is the same search; the second approver must write why it is another one"
            return fails(self, measured, why, case.approve_with_reason, Outcome.REVIEW)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Overfitting:
    """Choosing the best of what was tried worked: its probability of overfitting (PBO) is low.

    Judged on all trials of the question; docs/overfitting.md shows why the grid alone is no guide where its cells pay
    alike. The grid's own number is judged only where there is no other.
    """

    below: Share
    fail_from: Share
    name: ClassVar[str] = "overfitting"

    def __post_init__(self) -> None:
        if self.below > self.fail_from:
            raise ValueError(f"below {self.below:g} is above fail_from {self.fail_from:g}; swap them")

    @property
    def asked(self) -> str:
        return f"PBO < {self.below:g}, or < {self.fail_from:g} with a written reason"

    def judge(self, case: Case) -> Verdict:
        found = case.facts(STATISTICS).at("overfitting")
        of_all, of_grid = found.at("pbo_all").value, found.at("pbo").value
        name = "pbo_all" if of_all is not None else "pbo"
        if of_all is None and of_grid is None:
            raise Unknown(
                f"PBO is not known: {_missing(found, 'pbo_all') or _missing(found, 'pbo') or 'no reason is given'}",
                f"give the strategy's grid two cells or more (params/strategies/{case.pack.name}.yaml), then make "
                f"backtest STRATEGY={case.pack.name} and {case.again}",
            )
        probability = found.at(name).number(0.0, 1.0)
        texts = {
            key: number(found.at(key).number(0.0, 1.0), self.below, self.fail_from) if value is not None else "unknown"
            for key, value in (("pbo_all", of_all), ("pbo", of_grid))
        }
        elsewhere = dict(found.items()).get("pbo_all_left_out")
        left_out = 0 if elsewhere is None else elsewhere.count()
        but = f" but {left_out:,} of other weeks" if left_out else ""
        measured = f"{texts['pbo_all']} among all trials{but}, {texts['pbo']} within the grid"
        if probability >= self.fail_from:
            why = "what was best on one half of the time is no better than a coin toss on the other"
            return fails(self, measured, why, f"search less, or another idea, then: {case.again}")
        if probability >= self.below:
            remedy = case.approve_with_reason
            why = "the choice may be luck; the second approver must write why it is not"
            return fails(self, measured, why, remedy, Outcome.REVIEW)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class TrackLength:
    """It was watched out of sample for as long as it takes to be 95 % sure of a Sharpe ratio above zero, and longer."""

    name: ClassVar[str] = "track_length"

    @property
    def asked(self) -> str:
        return "≥ its minimum track record"

    def judge(self, case: Case) -> Verdict:
        found = case.facts(STATISTICS).at("overfitting")
        needed, watched = overfit_number(found, "min_track_record", 1.0, math.inf, case), found.at("n").count()
        kept = kept_returns(case)
        if watched != kept:
            raise Unknown(
                f"statistics.json counts {counted(watched, 'return')}, {CURVES} of the pack holds {kept:,}", case.again
            )
        measured = f"{counted(watched, 'return')} of {math.ceil(needed):,}"
        if watched < needed:
            return fails(self, measured, "too short to be 95 % sure", f"ingest more years, then: {case.again}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Costs:
    """It still earns at a multiple of its costs; the robustness card has two and three times."""

    times: Annotated[int, Field(ge=2, le=3)]
    above: Annotated[float, Field(ge=0.0, le=BELIEVABLE_SHARPE)]
    name: ClassVar[str] = "costs"

    @property
    def asked(self) -> str:
        return f"Sharpe ratio > {self.above:g} and a gain at {self.times}× costs"

    def judge(self, case: Case) -> Verdict:
        paid = case.facts("params.json").at("costs")
        schedule, spread = paid.at("schedule").text(), paid.at("spread_bps").number(0.0)
        share = paid.at("proportional_bps").number(0.0)
        if spread <= 0.0 and (schedule == "none" or (schedule == "proportional" and share <= 0.0)):
            remedy = f"set costs.schedule and costs.spread_bps in params/base.yaml, then: {case.again}"
            why = f"{self.times} times nothing is nothing: a trade must pay a commission or a spread"
            return fails(self, "simulated without costs", why, remedy)
        card = case.facts(STATISTICS).at("robustness")
        if card.value is None:
            raise Unknown("the walk-forward has no robustness card", case.again)
        for row in card.at("variants").rows():
            if (row.at("group").text(), row.at("name").text()) == ("costs", f"{self.times}× costs"):
                break
        else:
            raise Unknown(f"the robustness card has no row of {self.times}× costs", case.again)
        left, yearly = row.at("sharpe").number(-BELIEVABLE_SHARPE, BELIEVABLE_SHARPE), row.at("cagr").number(-1.0)
        measured = f"{number(left, self.above)}, {percent(yearly, 0.0, digits=1)} a year at {self.times}× costs"
        if left <= self.above or yearly <= 0.0:
            remedy = f"trade less often or hold longer, then: {case.again}"
            return fails(self, measured, "a wider spread would take all of it", remedy)
        return passes(self, measured)


def kept_returns(case: Case) -> int:
    """Return how many returns lie in the pack itself, out of sample."""
    if not case.pack.has(CURVES):
        raise Unknown(f"the pack has no part {CURVES}", case.again)
    try:
        return int(returns_in(case.pack).map(math.isfinite).sum())
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Unknown(f"{CURVES} cannot be read ({' '.join(str(error).split())[:120]})", case.again) from error


def sharpe(case: Case, sample: str) -> float:
    """Return the Sharpe ratio a year of ``in_sample`` or ``out_of_sample``."""
    return case.facts(STATISTICS).at(sample).at("sharpe").number(-BELIEVABLE_SHARPE, BELIEVABLE_SHARPE)


def overfit_number(found: Facts, name: str, low: float, high: float, case: Case) -> float:
    """Return a number of the overfitting statistics, or why it could not be computed."""
    if found.at(name).value is None and (reason := _missing(found, name)):
        raise Unknown(f"{name} is not known: {reason}", case.again)
    return found.at(name).number(low, high)


def _missing(found: Facts, name: str) -> str:
    reasons = dict(found.at("missing").items())
    return reasons[name].text() if name in reasons else ""
