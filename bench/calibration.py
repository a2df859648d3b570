"""How often research passes the statistics where nothing is to be found, and where something is.

    python bench/calibration.py --null 200 --effects 1,1.3 --markets 60 --keep verdicts.jsonl

On each of many sample markets the whole research process runs. The market is made, published to a lake and read back as
bars. Three strategies, one of them long-only, are walked forward over wide grids on three universes, all for one
research question; every cell goes into a trial ledger. Then two things are picked by their Sharpe ratio, as people do:

- the best walk-forward, whose parameters were chosen on training windows, and
- the best cell of all sweeps, chosen on the very returns that it is judged by.

Each is asked what a gate asks:

- ungated: as if nothing else had been tried and holding the market were skill, is its Sharpe ratio above zero with 95 %
  probability?
- passed: the deflated Sharpe ratio, all trials counted and the market taken off, is at least 0.95, and the probability
  of backtest overfitting among all that was tried is below ``--pbo``.

Beside them stand what deflation alone passes, and what it passes where the market is not taken off; the third figure
without an effect is the best walk-forward of the long-only strategy, which the market pays.

Where nothing is planted trading is free, so that worthless strategies earn nothing on average instead of losing their
costs: the harder test. Effects of several sizes are traded at the default costs. What Sharpe ratio a size is worth is
the mean, over the markets, of the better of the two walk-forwards where something is planted. With ``--keep`` a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from figure import report

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
# What is asked of the statistics: no more false passes, at least so many found at this Sharpe ratio over ten years.
FALSE_PASSES, FOUND, WORTH = 0.05, 0.80, 1.5


@dataclass(frozen=True)
class Market:
    """One market: its seed, its length, and the size of the effects planted in it; zero is nothing."""

    seed: int
    effect: float
    years: int


@dataclass(frozen=True)
class Judged:
    """What was picked, and what is left of it; NaN where a number is not there."""

    strategy: str
    universe: tuple[str, ...]
    sharpe: float  # a year, as it was picked
    psr_raw: float
    beta: float
    dsr: float
    dsr_raw: float
    pbo: float  # among all that was tried


@dataclass(frozen=True)
class Verdict:
    """What research found on one market."""

    market: Market
    trials: int
    effective: int
    walk_forward: Judged
    cell: Judged
    long_only: Judged
    planted: tuple[float, ...]  # yearly out-of-sample Sharpe ratios where the effects are

    def true(self, judged: Judged) -> bool:
        """Whether an effect is planted where the pick trades."""
        return self.market.effect > 0 and PLANTED.get(judged.strategy) == judged.universe


def research(market: Market) -> Verdict:
    """Run the whole process on one market."""
    import numpy as np
    import pandas as pd

    from workbench.backtest import stats
    from workbench.backtest.overfit import evidence, probabilistic_sharpe
    from workbench.backtest.overfit.deflate import judge
    from workbench.backtest.trials import Ledger, Question, record_walk_forward
    from workbench.backtest.walkforward import walk_forward
    from workbench.data.lake import Lake
    from workbench.data.sample import SampleSource
    from workbench.data.source import Request
    from workbench.data.validated import Validated
    from workbench.params import CostParams, SampleParams, Settings, Universe, load_strategy_params
    from workbench.search.luck import weigh

    params = SampleParams(
        seed=market.seed, years=market.years, intraday_sessions=0, momentum=market.effect, reversion=market.effect
    )
    free = CostParams(schedule="none", spread_bps=0.0, impact=0.0, borrow_bps_per_year=0.0)
    settings = Settings(sample=params, costs=CostParams() if market.effect else free)
    question = Question(QUESTION, "sample")
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
                found.append((result, sectors))

        def psr(returns: pd.Series) -> float:
            shape = stats.sharpe(returns, periods=1), len(returns), stats.skew(returns), stats.kurtosis(returns)
            return probabilistic_sharpe(*shape)

        def known(values: Sequence[float | None]) -> list[float]:
            return [math.nan if value is None else value for value in values]

        # The best walk-forward of all, and of the strategy that the market pays.
        best, universe = max(found, key=lambda one: one[0].out_of_sample["sharpe"])
        left = evidence(best, ledger)
        walked = Judged(
            best.strategy,
            universe,
            best.out_of_sample["sharpe"],
            psr(best.simulation.returns),
            *known([left.beta, left.dsr, left.dsr_raw, left.pbo_all]),
        )
        holders = [one for one in found if one[0].strategy == LONG_ONLY]
        holder, where = max(holders, key=lambda one: one[0].out_of_sample["sharpe"])
        numbers = judge(LONG_ONLY, holder.simulation.returns, holder.benchmark, ledger, question).known
        held = Judged(
            LONG_ONLY,
            where,
            holder.out_of_sample["sharpe"],
            psr(holder.simulation.returns),
            *known([numbers.get(name) for name in ("beta", "dsr", "dsr_raw")]),
            math.nan,
        )
        # The best cell of all sweeps, over all test windows.
        cells = pd.concat([result.cell_returns for result, _ in found], axis=1).dropna()
        owners = [(result, sectors) for result, sectors in found for _ in result.cell_returns]
        sharpes = np.array([stats.sharpe(cells.iloc[:, place]) for place in range(cells.shape[1])])
        place = int(np.nan_to_num(sharpes, nan=-np.inf).argmax())
        owner, sectors = owners[place]
        single = cells.iloc[:, place]
        luck = weigh(single, cells.to_numpy().T, owner.benchmark, ledger, question)
        cell = Judged(
            owner.strategy,
            sectors,
            float(sharpes[place]),
            psr(single),
            *known([luck.beta, luck.dsr, luck.dsr_raw, luck.pbo]),
        )
    planted = tuple(r.out_of_sample["sharpe"] for r, sectors in found if PLANTED.get(r.strategy) == sectors)
    return Verdict(market, left.trials, left.effective_trials, walked, cell, held, planted)


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


def kept(file: Path | None, markets: set[Market]) -> list[Verdict]:
    """Return the verdicts of an earlier run on these markets; a line that was cut off by a kill is run again."""
    found = []
    for line in file.read_text().splitlines() if file is not None and file.is_file() else []:
        try:
            told = json.loads(line)
            judged = {name: _judged(told[name]) for name in ("walk_forward", "cell", "long_only")}
            verdict = Verdict(**{**told, **judged, "market": Market(**told["market"])})
        except (ValueError, TypeError, KeyError):
            continue
        if verdict.market in markets:
            found.append(verdict)
    return found


def _judged(told: dict[str, Any]) -> Judged:
    return Judged(**{**told, "universe": tuple(told["universe"])})


def share(hits: int, of: int) -> tuple[float, float, float]:
    """Return a share and its 95 % interval (Wilson)."""
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return p, max(0.0, (middle - half) / (1 + z * z / of)), min(1.0, (middle + half) / (1 + z * z / of))


def show(found: Sequence[Verdict], what: str, pbo: float) -> None:
    """Print one figure of one size of effect: how many picks passed, beside what nobody gated."""
    effect, of = found[0].market.effect, len(found)
    picks = [getattr(verdict, what) for verdict in found]
    # Where something is planted, only a pick that trades it counts.
    right = [pick for verdict, pick in zip(found, picks, strict=True) if verdict.true(pick) or not effect]

    def passing(test: Callable[[Judged], bool]) -> float:
        return round(sum(map(test, right)) / of, 4)

    def passes(pick: Judged) -> bool:
        return pick.dsr >= CONFIDENT and (pick.pbo < pbo or what == "long_only")

    rate, low, high = share(sum(map(passes, right)), of)
    worth = [max(verdict.planted) for verdict in found] if effect else []
    size = {
        "effect": effect,
        "markets": of,
        "years": found[0].market.years,
        "interval": f"{low:.3f} to {high:.3f}",
        "trials": found[0].trials,
        "effective_trials": round(sum(verdict.effective for verdict in found) / of, 1),
        "sharpe_picked": round(sum(pick.sharpe for pick in picks) / of, 2),
        "beta_picked": round(sum(pick.beta for pick in picks) / of, 2),
        "by_deflation_alone": passing(lambda pick: pick.dsr >= CONFIDENT),
        "market_not_taken_off": passing(lambda pick: pick.dsr_raw >= CONFIDENT),
        **({"sharpe_planted": round(sum(worth) / of, 2)} if worth else {}),
    }
    name = {"walk_forward": "best walk-forward", "cell": "best cell of the sweeps", "long_only": "best long-only"}[what]
    where = f"found where effects of {effect:g} are planted" if effect else "false passes where nothing is planted"
    target = f"value >= {FOUND} at a Sharpe ratio of {WORTH}" if effect else f"value <= {FALSE_PASSES}"
    ungated = passing(lambda pick: pick.psr_raw >= CONFIDENT)
    report(f"{name}: {where}", rate, "ungated", ungated, size, "share", target=target)


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--null", type=int, default=2, help="markets without an effect")
    options.add_argument("--effects", default="1", help="sizes, with commas; 1 is the default market's, empty is none")
    options.add_argument("--markets", type=int, default=1, help="for each size of effect")
    options.add_argument("--years", type=int, default=15, help="of data; the first four and a half train and warm up")
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--pbo", type=float, default=0.3, help="the bound on the probability of overfitting")
    options.add_argument(
        "--keep", type=Path, help="a file of verdicts, one JSON line each: what it has is not run again"
    )
    asked = options.parse_args()
    sizes = {0.0: asked.null, **{float(size): asked.markets for size in asked.effects.split(",") if size}}
    markets = [
        Market(FIRST_SEED + number, size, asked.years) for size, count in sizes.items() for number in range(count)
    ]
    found = kept(asked.keep, set(markets))
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
                show(some, what, asked.pbo)


if __name__ == "__main__":
    main()
