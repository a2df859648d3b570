"""How often research passes the statistics where nothing is to be found, and where something is.

    python bench/calibration.py --markets 100 --null-markets 200 --processes 2

On each of many sample markets the whole research process runs. The market is made, published to a lake and read back as
bars. Every strategy is walked forward over its grid on every universe, all for one research question; every cell goes
into a trial ledger. The best walk-forward is picked by its out-of-sample Sharpe ratio, and is asked what a gate asks:

- naive: as if nothing else had been tried, is its Sharpe ratio above zero with 95 % probability?
- passed: the deflated Sharpe ratio, all trials counted, is at least 0.95, and the probability of backtest overfitting
  among all that was tried is below ``--pbo``.

Beside it stand what deflation alone passes; what it passes with the variance that the trials' Sharpe ratios show, skill
and costs included, in place of what luck shows; and what passes with the overfitting of the winner's own grid.

Where nothing is planted trading is free, so that worthless strategies earn nothing on average instead of losing their
costs: the harder test. Effects of several sizes are traded at the default costs. What Sharpe ratio a size is worth is
the mean, over the markets, of the better of the two walk-forwards where something is planted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from figure import report

UNIVERSES = (("Technology", "Finance"), ("Health", "Energy"), ("Consumer", "Utilities"))
PLANTED = {"xs_momentum": UNIVERSES[0], "mean_reversion": UNIVERSES[1]}
QUESTION = "Does anything pay on this market?"
FIRST_SEED = 1000
CONFIDENT = 0.95
# What is asked of the statistics: no more false passes, at least so many found at this Sharpe ratio over ten years.
FALSE_PASSES, FOUND, WORTH = 0.05, 0.80, 1.5


@dataclass(frozen=True)
class Market:
    """One market: its seed, and the size of the effects planted in it; zero is nothing."""

    seed: int
    effect: float


@dataclass(frozen=True)
class Verdict:
    """What research found on one market: the best walk-forward, and what is left of it."""

    market: Market
    strategy: str
    universe: tuple[str, ...]
    sharpe: float
    trials: int
    effective: int
    psr: float
    dsr: float
    dsr_spread: float
    pbo: float
    pbo_all: float
    planted: tuple[float, ...]  # yearly out-of-sample Sharpe ratios where the effects are

    @property
    def true(self) -> bool:
        """Whether an effect is planted where the best walk-forward traded."""
        return self.market.effect > 0 and PLANTED[self.strategy] == self.universe


def research(market: Market, years: int) -> Verdict:
    """Run the whole process on one market."""
    from workbench.backtest.overfit import evidence
    from workbench.backtest.trials import Ledger, record_walk_forward
    from workbench.backtest.walkforward import walk_forward
    from workbench.data.lake import Lake
    from workbench.data.sample import SampleSource
    from workbench.data.source import Request
    from workbench.data.validated import Validated
    from workbench.params import CostParams, SampleParams, Settings, Universe, load_strategy_params

    params = SampleParams(
        seed=market.seed, years=years, intraday_sessions=0, momentum=market.effect, reversion=market.effect
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
        for strategy in PLANTED:
            own = load_strategy_params(strategy).model_copy(update={"question": QUESTION})
            for sectors in UNIVERSES:
                asked = own.model_copy(update={"universe": Universe(sectors=sectors)})
                result = walk_forward(strategy, asked, bars, settings)
                record_walk_forward(ledger, result, made_by={"universe": sectors})
                found.append((result, sectors))
        best, universe = max(found, key=lambda one: one[0].out_of_sample["sharpe"])
        left = evidence(best, ledger)
    numbers = (left.psr, left.dsr, left.dsr_spread, left.pbo, left.pbo_all)
    psr, dsr, dsr_spread, pbo, pbo_all = (math.nan if value is None else value for value in numbers)
    return Verdict(
        market=market,
        strategy=best.strategy,
        universe=universe,
        sharpe=best.out_of_sample["sharpe"],
        trials=left.trials,
        effective=left.effective_trials,
        psr=psr,
        dsr=dsr,
        dsr_spread=dsr_spread,
        pbo=pbo,
        pbo_all=pbo_all,
        planted=tuple(r.out_of_sample["sharpe"] for r, sectors in found if PLANTED[r.strategy] == sectors),
    )


def verdicts(markets: Sequence[Market], years: int, processes: int) -> Iterator[Verdict]:
    """Run all markets, and say on the terminal how far it is."""
    begun = time.monotonic()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(research, market, years) for market in markets]
        for done, future in enumerate(as_completed(waiting), start=1):
            left = (time.monotonic() - begun) / done * (len(waiting) - done)
            print(f"\r{done}/{len(waiting)} markets, about {left / 60:.0f} min left ", end="", file=sys.stderr)
            yield future.result()
    print(file=sys.stderr)


def kept(file: Path | None, markets: set[Market]) -> list[Verdict]:
    """Return the verdicts of an earlier run on these markets."""
    if file is None or not file.is_file():
        return []
    told = [json.loads(line) for line in file.read_text().splitlines()]
    found = [Verdict(**{**one, "market": Market(**one["market"]), "universe": tuple(one["universe"])}) for one in told]
    return [verdict for verdict in found if verdict.market in markets]


def share(hits: int, of: int) -> tuple[float, float, float]:
    """Return a share and its 95 % interval (Wilson)."""
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return p, max(0.0, (middle - half) / (1 + z * z / of)), min(1.0, (middle + half) / (1 + z * z / of))


def show(found: Sequence[Verdict], effect: float, years: int, pbo: float) -> None:
    """Print the figure of one effect size: how many markets passed, beside the naive judgement."""
    right = [v for v in found if v.true or not effect]  # where something is planted, only the planted place counts
    of = len(found)

    def passing(judge: Callable[[Verdict], bool]) -> float:
        return sum(judge(v) for v in right) / of

    passed = sum(v.dsr >= CONFIDENT and v.pbo_all < pbo for v in right)
    rate, low, high = share(passed, of)
    worth = [max(v.planted) for v in found] if effect else []
    size = {
        "effect": effect,
        "markets": of,
        "years": years,
        "interval": f"{low:.3f} to {high:.3f}",
        "trials": found[0].trials,
        "effective_trials": round(sum(v.effective for v in found) / of, 1),
        "sharpe_picked": round(sum(v.sharpe for v in found) / of, 2),
        "by_deflation_alone": round(passing(lambda v: v.dsr >= CONFIDENT), 4),
        "by_the_spread_of_the_trials": round(passing(lambda v: v.dsr_spread >= CONFIDENT), 4),
        "by_pbo_of_the_grid": round(passing(lambda v: v.dsr >= CONFIDENT and v.pbo < pbo), 4),
        **({"sharpe_planted": round(sum(worth) / of, 2)} if worth else {}),
    }
    figure = f"found where effects of {effect:g} are planted" if effect else "false passes where nothing is planted"
    target = f"value >= {FOUND} at a Sharpe ratio of {WORTH}" if effect else f"value <= {FALSE_PASSES}"
    naive = passing(lambda v: v.psr >= CONFIDENT)
    report(figure, rate, "without counting trials", naive, size, "share", target=target)


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--markets", type=int, default=2, help="for each size of effect")
    options.add_argument("--null-markets", type=int, default=4)
    options.add_argument("--effects", default="1", help="sizes, with commas; 1 is the default market's")
    options.add_argument("--years", type=int, default=15, help="of data; the first four and a half train and warm up")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--pbo", type=float, default=0.3, help="the bound on the probability of overfitting")
    options.add_argument(
        "--keep", type=Path, help="a file of verdicts, one JSON line each: what it has is not run again"
    )
    asked = options.parse_args()
    sizes = {0.0: asked.null_markets, **{float(size): asked.markets for size in asked.effects.split(",")}}
    markets = [Market(FIRST_SEED + number, size) for size, count in sizes.items() for number in range(count)]
    found = kept(asked.keep, set(markets))
    done = {verdict.market for verdict in found}
    for verdict in verdicts([market for market in markets if market not in done], asked.years, asked.processes):
        found.append(verdict)
        if asked.keep:
            with asked.keep.open("a") as file:
                file.write(json.dumps({**vars(verdict), "market": vars(verdict.market)}) + "\n")
    for size in sizes:
        show([verdict for verdict in found if verdict.market.effect == size], size, asked.years, asked.pbo)


if __name__ == "__main__":
    main()
