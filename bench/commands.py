"""How long a command takes to answer, as a whole process, against an empty Python process in the same run.

    python bench/commands.py --repeats 21

Two answers that need no data: the help, and the refusal of a misspelt setting.
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
    for question in QUESTIONS:
        ours, empty = [], []
        for _ in range(asked.repeats + 1):  # in turns; the first of each does not count
            ours.append(answer([*WORKBENCH, *question.words], question.code, question.says))
            empty.append(answer(EMPTY, 0, ""))
        value, beside = statistics.median(ours[1:]), statistics.median(empty[1:])
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        figure, size = " ".join(("workbench", *question.words)), {"repeats": asked.repeats}
        report(figure, value, "empty Python process", beside, size, peak_rss_mb=memory, target=question.target)


if __name__ == "__main__":
    main()
