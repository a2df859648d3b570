"""How long a command takes to answer, as a whole process, against an empty Python process in the same run.

    python bench/commands.py --repeats 21

Two answers that need no data, the help and the refusal of a misspelt setting, and what `workbench live` imports before
it looks for who trades, beside the import of MLflow's client.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figure import report

PROJECT = Path(__file__).parents[1]
WORKBENCH = [sys.executable, "-m", "workbench.cli"]
EMPTY = [sys.executable, "-c", "pass"]


@dataclass(frozen=True)
class Question:
    """A command, and what it must answer."""

    words: tuple[str, ...]
    code: int
    says: str
    target: str = ""


QUESTIONS = (
    Question(("--help",), 0, "backtest", "value <= 0.5"),
    Question(("backtest", "--set", "costs.spred_bps=3"), 2, "Did you mean 'spread_bps'?"),
)

# All that the command imports itself; MLflow's client comes to it when a version is fetched.
RUNNER = ("cli.app", "cli.live", "cli.rules", "cli.trading", "live.preview", "live.service", "live.ib")
IMPORTS = f"import {', '.join(f'workbench.{name}' for name in RUNNER)}, sys; print('mlflow' in sys.modules)"
CLIENT = "import mlflow, mlflow.tracking; print('client')"


def answer(command: Sequence[str], code: int, says: str) -> float:
    """Return the seconds that a command took to give the answer that it must give."""
    begun = time.perf_counter()
    done = subprocess.run([*command], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode != code or says not in done.stdout + done.stderr:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=7)
    asked = options.parse_args()
    size = {"repeats": asked.repeats}
    for question in QUESTIONS:
        command = [*WORKBENCH, *question.words]
        value, beside = in_turns((command, question.code, question.says), (EMPTY, 0, ""), asked.repeats)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        report(
            " ".join(("workbench", *question.words)),
            value,
            "empty Python process",
            beside,
            size,
            peak_rss_mb=memory,
            target=question.target,
        )
    run = [sys.executable, "-c"]
    value, beside = in_turns(([*run, IMPORTS], 0, "False"), ([*run, CLIENT], 0, "client"), asked.repeats)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report(
        "imports of workbench live",
        value,
        "import of MLflow's client",
        beside,
        size,
        peak_rss_mb=memory,
        target="value <= 1.5",
    )


def in_turns(
    ours: tuple[Sequence[str], int, str], beside: tuple[Sequence[str], int, str], repeats: int
) -> tuple[float, float]:
    """Return the median seconds of two commands that were run one after the other; the first of each does not count."""
    times = [(answer(*ours), answer(*beside)) for _ in range(repeats + 1)][1:]
    return statistics.median(one for one, _ in times), statistics.median(other for _, other in times)


if __name__ == "__main__":
    main()
