"""How often research passes the gates where nothing is to be found, and where something is.

    python bench/calibration.py --null 200 --effects 1,1.3 --markets 60 --keep verdicts.jsonl

On each of many sample markets the whole research process runs. The market is made, published to a lake and read back as
bars. Three strategies, one of them long-only, are walked forward over wide grids on three universes, all for one
research question; every cell goes into a trial ledger. Then two things are picked by their Sharpe ratio, as people do:

- the best walk-forward, whose parameters were chosen on training windows, and
- the best cell of all sweeps, chosen on the very returns that it is judged by; it is walked forward once more as it
  would have to be for a pack, with its parameters fixed.

Each is judged by the gates themselves, with the numbers of params/gates.yaml, on the parts of a pack that the making of
evidence writes:

- ungated: as if nothing else had been tried and holding the market were skill, is its Sharpe ratio above zero with 95 %
  probability?
- passed: every statistical gate says PASS. What a second person may lift with a written reason (REVIEW) is no pass;
  ``with_review`` counts it as one.

One line a gate says how many it refused, and how many nothing else refused: what that gate costs. The targets (Sharpe
ratio, drawdown, profit factor) stand apart: a miss warns. The third figure without an effect is the best walk-forward
of the long-only strategy, which the market pays.

Where nothing is planted trading is free, so that worthless strategies earn nothing on average instead of losing their
costs: the harder test. Effects of several sizes are traded at the default costs. What Sharpe ratio a size is worth is
the mean, over the markets, of the better of the two walk-forwards where something is planted. With ``--keep`` a run
that was stopped goes on where it was; what other gates judged is run again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figure import report

if TYPE_CHECKING:
    from workbench.backtest.result import WalkForward
    from workbench.backtest.trials import Ledger
    from workbench.registry.gates.policy import Policy, Step

UNIVERSES = (("Technology", "Finance"), ("Health", "Energy"), ("Consumer", "Utilities"))
PLANTED = {"xs_momentum": UNIVERSES[0], "mean_reversion": UNIVERSES[1]}
LONG_ONLY = "sma_cross"
GRIDS: dict[str, dict[str, list[Any]]] = {
    "xs_momentum": {"formation": [42, 63, 126, 189, 252], "quantile": [0.2, 0.3, 0.4, 0.5]},
    "mean_reversion": {"window": [2, 3, 5, 7, 10], "hold": [1, 3, 5, 10]},
    LONG_ONLY: {"fast": [5, 10, 20, 50], "slow": [75, 100, 150, 200, 250]},
}
QUESTION = "Does anything pay on this market?"
FIRST_SEED = 1000
CONFIDENT = 0.95
# No more false passes, and at least so many found.
FALSE_PASSES, FOUND = 0.05, 0.80


@dataclass(frozen=True)
class Market:
    """One market: its seed, its length, and the size of the effects planted in it; zero is nothing."""

    seed: int
    effect: float
    years: int


@dataclass(frozen=True)
class Judged:
    """What was picked, what is left of it, and what each gate said; NaN where a number is not there."""

    strategy: str
    universe: tuple[str, ...]
    sharpe: float  # a year, as it was picked
    in_sample: float
    psr_raw: float
    beta: float
    dsr: float
    dsr_raw: float
    pbo: float  # among all that was tried
    gates: Mapping[str, str]  # outcome by statistical gate
    targets: Mapping[str, str]

    @property
    def refused_by(self) -> list[str]:
        """The gates that did not say PASS."""
        return [gate for gate, outcome in self.gates.items() if outcome != "pass"]


@dataclass(frozen=True)
class Verdict:
    """What research found on one market, judged by the gates of a ``policy``."""

    market: Market
    policy: str
    trials: int
    effective: int
    walk_forward: Judged
    cell: Judged
    long_only: Judged
    planted: tuple[float, ...]  # yearly out-of-sample Sharpe ratios where the effects are

    def true(self, judged: Judged) -> bool:
        """Whether an effect is planted where the pick trades."""
        return self.market.effect > 0 and PLANTED.get(judged.strategy) == judged.universe


def policy_of_now() -> tuple[Policy, Step, Step]:
    """Return the policy of params/gates.yaml, and its first step with the statistical gates and with the targets."""
    from workbench.params import Paths
    from workbench.registry.gates import skill, targets
    from workbench.registry.gates.policy import FILE, Policy

    policy = Policy.read(Paths().params / FILE)
    _, step = policy.first_step("strategy")
    asked = [
        replace(step, gates=tuple(gate for gate in step.gates if type(gate).__module__ == module.__name__))
        for module in (skill, targets)
    ]
    return policy, asked[0], asked[1]


def research(market: Market) -> Verdict:
    """Run the whole process on one market."""
    from workbench.backtest.trials import Ledger, record_walk_forward
    from workbench.backtest.walkforward import walk_forward
    from workbench.data.lake import Lake
    from workbench.data.sample import SampleSource
    from workbench.data.source import Request
    from workbench.data.validated import Validated
    from workbench.params import CostParams, SampleParams, Settings, Universe, load_strategy_params

    params = SampleParams(
        seed=market.seed, years=market.years, intraday_sessions=0, momentum=market.effect, reversion=market.effect
    )
    free = CostParams(schedule="none", spread_bps=0.0, impact=0.0, borrow_bps_per_year=0.0)
    settings = Settings(sample=params, costs=CostParams() if market.effect else free)
    with tempfile.TemporaryDirectory() as folder:
        lake, ledger = Lake(Path(folder) / "lake", "sample"), Ledger(Path(folder) / "trials.db")
        source = SampleSource(params)
        for name in ("symbols", "prices_daily", "actions"):
            lake.publish(Validated(name, source.fetch(Request(name)).rows, "the sample market"))
        bars = lake.bars()
        found = []
        for strategy, grid in GRIDS.items():
            own = load_strategy_params(strategy).model_copy(update={"question": QUESTION, "grid": grid})
            for sectors in UNIVERSES:
                asked = own.model_copy(update={"universe": Universe(sectors=sectors)})
                result = walk_forward(strategy, asked, bars, settings)
                record_walk_forward(ledger, result, made_by={"universe": sectors})
                found.append((result, asked))

        # The best walk-forward of all, and of the strategy that the market pays.
        walked, asked = max(found, key=lambda one: one[0].out_of_sample["sharpe"])
        best = judged(walked, asked.universe.sectors, ledger)
        holders = [one for one in found if one[0].strategy == LONG_ONLY]
        holder, asked = max(holders, key=lambda one: one[0].out_of_sample["sharpe"])
        held = best if holder is walked else judged(holder, asked.universe.sectors, ledger)
        # The best cell of all sweeps over all test windows. It tries nothing: what it is was counted already.
        owner, asked, cell = best_cell(found)
        fixed = asked.model_copy(update={"params": cell, "grid": {}})
        single = judged(walk_forward(owner.strategy, fixed, bars, settings), asked.universe.sectors, ledger)
        trials, effective = ledger.count(), ledger.effective(_question(walked)).trials
    planted = tuple(r.out_of_sample["sharpe"] for r, a in found if PLANTED.get(r.strategy) == a.universe.sectors)
    return Verdict(market, policy_of_now()[0].digest, trials, effective, best, single, held, planted)


def best_cell(found: Sequence[tuple[WalkForward, Any]]) -> tuple[WalkForward, Any, dict[str, Any]]:
    """Return the walk-forward whose grid has the cell with the highest Sharpe ratio, and the cell's parameters."""
    from workbench.backtest import stats

    cells = [
        (stats.sharpe(result.cell_returns[place]), result, asked, row)
        for result, asked in found
        for place, row in zip(result.cell_returns, result.cells.to_dict("records"), strict=True)
    ]
    _, owner, asked, row = max(cells, key=lambda one: -math.inf if math.isnan(one[0]) else one[0])
    return owner, asked, {name: row[name] for name in (*asked.params, *asked.grid)}


def judged(result: WalkForward, universe: tuple[str, ...], ledger: Ledger) -> Judged:
    """Return what the gates say of a walk-forward whose question's trials are in the ledger."""
    from workbench.backtest import stats
    from workbench.backtest.overfit import evidence, probabilistic_sharpe
    from workbench.backtest.robustness.card import Robustness
    from workbench.backtest.robustness.stress import dearer, variant
    from workbench.registry.gates.case import Case
    from workbench.registry.gates.judge import judge
    from workbench.registry.making.parts import RESULT, STATISTICS, TRIALS, TrialFacts, statistics_facts
    from workbench.registry.packs.canonical import canonical, jsonable
    from workbench.registry.packs.pack import make_pack

    returns = result.simulation.returns
    base = variant("", "as traded", "nothing", returns, stats.sharpe(returns))
    result = replace(result, robustness=Robustness(base, tuple(dearer(result))))
    left = evidence(result, ledger)
    policy, gates, targets = policy_of_now()
    facts = {
        STATISTICS: statistics_facts(result, left, seed=0),
        TRIALS: TrialFacts.of(_question(result), left, ledger.verify(), recorded={}),
    }
    files = {path: canonical(jsonable(value)) for path, value in facts.items()}
    with tempfile.TemporaryDirectory() as folder:
        result.save(Path(folder))
        files |= {f"{RESULT}/{file.name}": file.read_bytes() for file in Path(folder).iterdir()}
    now = datetime.now(UTC)
    pack = make_pack(
        kind="strategy", name=result.strategy, market=result.market, made_by="calibration", made_at=now,
        expires_at=now + timedelta(days=1), policy=policy.digest, files=files,
    )  # fmt: skip
    case = Case(pack=pack, version=0, to_stage=gates.to_stage, now=now)
    said = [{one.gate: str(one.outcome) for one in judge(step, case)} for step in (gates, targets)]
    shape = stats.sharpe(returns, periods=1), len(returns), stats.skew(returns), stats.kurtosis(returns)
    numbers = [math.nan if value is None else value for value in (left.beta, left.dsr, left.dsr_raw, left.pbo_all)]
    return Judged(
        result.strategy, universe, result.out_of_sample["sharpe"], result.in_sample["sharpe"],
        probabilistic_sharpe(*shape), *numbers, *said,
    )  # fmt: skip


def _question(result: WalkForward) -> Any:
    from workbench.backtest.trials import Question

    return Question(result.question, result.market)


def verdicts(markets: Sequence[Market], processes: int) -> Iterator[Verdict]:
    """Run all markets, and say on the terminal how far it is."""
    begun = time.monotonic()
    # One market a core: more threads in each would only wait for one another.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(research, market) for market in markets]
        for done, future in enumerate(as_completed(waiting), start=1):
            left = (time.monotonic() - begun) / done * (len(waiting) - done)
            print(f"\r{done}/{len(waiting)} markets, about {left / 60:.0f} min left ", end="", file=sys.stderr)
            yield future.result()
    print(file=sys.stderr)


def kept(file: Path | None, markets: set[Market], policy: str) -> list[Verdict]:
    """Return the verdicts of an earlier run on these markets; a line that was cut off by a kill is run again."""
    found = []
    for line in file.read_text().splitlines() if file is not None and file.is_file() else []:
        try:
            told = json.loads(line)
            picks = {name: _judged(told[name]) for name in ("walk_forward", "cell", "long_only")}
            facts = {**told, **picks, "market": Market(**told["market"]), "planted": tuple(told["planted"])}
            verdict = Verdict(**facts)
        except (ValueError, TypeError, KeyError):
            continue
        if verdict.market in markets and verdict.policy == policy:
            found.append(verdict)
    return found


def _judged(told: dict[str, Any]) -> Judged:
    return Judged(**{**told, "universe": tuple(told["universe"])})


def share(hits: int, of: int) -> tuple[float, float, float]:
    """Return a share and its 95 % interval (Wilson)."""
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return p, max(0.0, (middle - half) / (1 + z * z / of)), min(1.0, (middle + half) / (1 + z * z / of))


NAMES = {"walk_forward": "best walk-forward", "cell": "best cell of the sweeps", "long_only": "best long-only"}


def show(found: Sequence[Verdict], what: str, asked: Mapping[str, str]) -> None:
    """Print what passed of one size of effect beside what nobody gated, then what each gate of ``asked`` refused."""
    effect, of = found[0].market.effect, len(found)
    picks = [getattr(verdict, what) for verdict in found]
    # Where something is planted, only a pick that trades it counts.
    right = [pick for verdict, pick in zip(found, picks, strict=True) if verdict.true(pick) or not effect]

    def part(test: Callable[[Judged], bool]) -> float:
        return round(sum(map(test, right)) / of, 4)

    rate, low, high = share(sum(not pick.refused_by for pick in right), of)
    worth = [max(verdict.planted) for verdict in found] if effect else []
    size = {
        "effect": effect,
        "markets": of,
        "years": found[0].market.years,
        "interval": f"{low:.3f} to {high:.3f}",
        "with_review": part(lambda pick: "fail" not in pick.gates.values()),
        "trials": found[0].trials,
        "effective_trials": round(sum(verdict.effective for verdict in found) / of, 1),
        "sharpe_picked": round(sum(pick.sharpe for pick in picks) / of, 2),
        "in_sample_picked": round(sum(pick.in_sample for pick in picks) / of, 2),
        "beta_picked": round(sum(pick.beta for pick in picks) / of, 2),
        "market_not_taken_off": part(lambda pick: pick.dsr_raw >= CONFIDENT),
        "without_out_of_sample": part(lambda pick: pick.refused_by in ([], ["out_of_sample"])),
        **({"sharpe_planted": round(sum(worth) / of, 2)} if worth else {}),
    }
    where = f"found where effects of {effect:g} are planted" if effect else "false passes where nothing is planted"
    target = f"value >= {FOUND} where the effect is strong" if effect else f"value <= {FALSE_PASSES}"
    ungated = part(lambda pick: pick.psr_raw >= CONFIDENT)
    report(f"{NAMES[what]}: {where}", rate, "ungated", ungated, size, "share", target=target)
    for gate, question in asked.items():
        refused = part(lambda pick, gate=gate: gate in pick.refused_by)  # type: ignore[misc]
        alone = part(lambda pick, gate=gate: pick.refused_by == [gate])  # type: ignore[misc]
        review = part(lambda pick, gate=gate: pick.gates[gate] == "review")  # type: ignore[misc]
        told = {"effect": effect, "markets": of, "asked": question, "of_these_to_review": review}
        report(f"{NAMES[what]}: refused by {gate}", refused, "by this gate alone", alone, told, "share")
    for gate in right[0].targets if right else ():
        missed = part(lambda pick, gate=gate: pick.targets[gate] != "pass")  # type: ignore[misc]
        report(f"{NAMES[what]}: target {gate} missed", missed, None, None, {"effect": effect, "markets": of}, "share")


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--null", type=int, default=2, help="markets without an effect")
    options.add_argument("--effects", default="1", help="sizes, with commas; 1 is the default market's, empty is none")
    options.add_argument("--markets", type=int, default=1, help="for each size of effect")
    options.add_argument("--years", type=int, default=15, help="of data; the first four and a half train and warm up")
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument(
        "--keep", type=Path, help="a file of verdicts, one JSON line each: what it has is not run again"
    )
    asked = options.parse_args()
    sizes = {0.0: asked.null, **{float(size): asked.markets for size in asked.effects.split(",") if size}}
    markets = [
        Market(FIRST_SEED + number, size, asked.years) for size, count in sizes.items() for number in range(count)
    ]
    policy, gates, _ = policy_of_now()
    found = kept(asked.keep, set(markets), policy.digest)
    done = {verdict.market for verdict in found}
    for verdict in verdicts([market for market in markets if market not in done], asked.processes):
        found.append(verdict)
        if asked.keep:
            with asked.keep.open("a") as file:
                file.write(json.dumps(asdict(verdict)) + "\n")
    for size in sizes:
        some = [verdict for verdict in found if verdict.market.effect == size]
        for what in ("walk_forward", "cell") if size else ("walk_forward", "cell", "long_only"):
            if some:
                show(some, what, {gate.name: gate.asked for gate in gates.gates})


if __name__ == "__main__":
    main()
