"""A candidate that passes every gate, made by hand, and the ways to spoil it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workbench.params import Paths
from workbench.registry.gates.case import Case, LedgerFacts
from workbench.registry.gates.policy import Policy
from workbench.registry.gates.track_record import SessionRecord, TrackRecord
from workbench.registry.packs.canonical import sha256
from workbench.registry.packs.code import Code
from workbench.registry.packs.pack import Pack, Part, make_pack

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
CODE = Code(
    commit="a" * 40,
    changed=(),
    entry_point="workbench.strategies.sma_cross:SmaCross",
    files={"strategies/sma_cross.py": "1" * 64, "strategies/sizing.py": "2" * 64},
    package="0.4.0",
)
REPORT = {
    "name": "sma_cross",
    "kind": "strategy",
    "params": {"fast": 20, "slow": 150, "lookback": 150},
    "checks": [
        {"name": "comb", "dates": 4, "runs": 4},
        {"name": "truncation", "dates": 16, "runs": 16},
        {"name": "repeat", "dates": 900, "runs": 2},
    ],
    "findings": [],
    "doubts": [],
    "clean": True,
}
TABLE = {"passed": True, "rows": 5000, "files": 3, "rules": ["close_positive", "known_at"], "quarantined": {"jump": 2}}


def curves(count: int) -> bytes:
    """Return the curves of a walk-forward with so many returns, as a pack keeps them."""
    return pd.DataFrame({"return": [0.001] * count, "equity": [1.0] * count}).to_parquet()


STRATEGY: dict[str, Any] = {
    "params.json": {
        "strategy": "sma_cross",
        "params": {"fast": 20, "slow": 150},
        "costs": {"schedule": "ib_fixed", "spread_bps": 2.0, "proportional_bps": 5.0},
        "set": {},
    },
    "statistics.json": {
        "in_sample": {"sharpe": 2.0},
        "out_of_sample": {"sharpe": 1.8, "max_drawdown": -0.10, "profit_factor": 1.9, "trades": 140.0},
        "folds": [{"test_score": score} for score in (1.2, 0.4, -0.3, 2.2, 1.0)],
        "overfitting": {
            "n": 1250,
            "trials": 1240,
            "effective_trials": 31,
            "dsr": 0.97,
            "pbo": 0.6,
            "pbo_all": 0.12,
            "pbo_all_left_out": 0,
            "min_track_record": 310.4,
            "missing": {},
        },
        "robustness": {
            "variants": [
                {"group": "delay", "name": "one bar later", "sharpe": -0.4, "cagr": -0.02},
                {"group": "costs", "name": "2× costs", "sharpe": 1.1, "cagr": 0.06},
                {"group": "costs", "name": "3× costs", "sharpe": -0.2, "cagr": -0.01},
            ]
        },
    },
    "validation.json": {
        name: {**TABLE, "version": version, "broken": {"rows": 0, "rules": []}}
        for name, version in (("symbols", 1), ("prices_daily", 3))
    },
    "data.json": {
        name: {"version": version, "id": "x", "digest": "d", "rows": 5000}
        for name, version in (("symbols", 1), ("prices_daily", 3))
    },
    "lookahead.json": {"strategy": "sma_cross", "reports": [REPORT, {**REPORT, "name": "rsi", "kind": "feature"}]},
    "trials.json": {"head": "f" * 64, "trials": 1240, "effective_trials": 31, "elsewhere": 0},
    "result/curves.parquet": curves(1250),
}
WEIGHTS: dict[str, Any] = {
    "payload/weights.json": {
        "weights": {"sma_cross": 0.4, "xs_momentum": 0.35, "mean_reversion": 0.25},
        "strategies": {
            "sma_cross": {"signals": 34, "sharpe": 0.7},
            "xs_momentum": {"signals": 10, "sharpe": 0.9},
            "mean_reversion": {"signals": 51, "sharpe": 0.31},
        },
        "expected_improvement": 0.08,
    },
    "reason.json": {"reason": "xs_momentum has earned more of the risk since May"},
}
RISK: dict[str, Any] = {
    "payload/limits.yaml": "max_gross: 1.0\nper_symbol: {max_weight: 0.1}\nmin_cash: 5_000\n",
    "reason.json": {"reason": "halved after the review of January"},
}
PROMPT: dict[str, Any] = {
    "payload/analyst.md": "Read the statement of the Fed. Answer with hawkish, dovish or neutral.\n",
    "reason.json": {"reason": "neutral was never answered before"},
    "evaluation.json": {"cases": [{"name": f"fed {year}", "passed": True} for year in range(2015, 2021)]},
}
KINDS = {"strategy": STRATEGY, "weights": WEIGHTS, "risk": RISK, "prompt": PROMPT}


def pack_of(kind: str, parts: dict[str, Any], **changes: Any) -> Pack:
    """Return the pack of these parts; a text is kept as it is, anything else as JSON, NaN included.

    ``make_pack`` would refuse what these tests spoil: the gates must say no by themselves.
    """
    files = {
        path: value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
        for path, value in parts.items()
    }
    facts: dict[str, Any] = {
        "kind": kind,
        "name": "sma_cross" if kind == "strategy" else f"house_{kind}",
        "market": "real",
        "made_by": "ann",
        "made_at": datetime(2026, 1, 5, 18, 0, tzinfo=UTC),
        "expires_at": datetime(2026, 1, 5, 18, 0, tzinfo=UTC) + timedelta(days=180),
        "policy": "p" * 64,
        "code": CODE if kind == "strategy" else None,
    }
    whole = make_pack(files={}, **{**facts, **changes})
    return replace(whole, parts=tuple(Part(path, sha256(files[path]), len(files[path])) for path in files), files=files)


def weekdays(first: date, count: int) -> list[date]:
    days = (first + timedelta(days=number) for number in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


def record_of(of: Pack, left: str = "paper", **changes: Any) -> TrackRecord:
    """Return 38 sessions without a gap from 2026-01-06 to 2026-02-26, one trade each, capital raised three times."""
    capital = [1_000.0] * 10 + [2_500.0] * 10 + [5_000.0] * 10 + [10_000.0] * 8
    sessions = tuple(
        SessionRecord(date=day, equity=100_000.0 + number, pnl=1.0, trades=1, capital=held, positions_equal=True)
        for number, (day, held) in enumerate(zip(weekdays(date(2026, 1, 6), 38), capital, strict=True))
    )
    facts: dict[str, Any] = {
        "strategy": of.name,
        "version": 4,
        "pack": of.digest,
        "stage": left,
        "account_mode": {"paper": "paper", "staged_live": "live"}[left],
        "market": "real",
        "sessions": sessions,
        "fills": 41,
        "slippage_bps": 2.2,
        "slippage_model_bps": 2.0,
        "journal_head": "j" * 64,
    }
    return TrackRecord(**{**facts, **changes})


@dataclass(frozen=True)
class Maker:
    """Makes cases that pass, but for what a test changes."""

    policy: Policy

    def parts(self, kind: str = "strategy") -> dict[str, Any]:
        """Return a copy of the parts that one may spoil."""
        return copy.deepcopy(KINDS[kind])

    def case(self, kind: str = "strategy", to_stage: str = "paper", **changes: Any) -> Case:
        """Return a case; ``parts`` replaces the pack's parts, ``of_pack`` and ``of_record`` change their facts."""
        pack = pack_of(kind, changes.pop("parts", KINDS[kind]), **changes.pop("of_pack", {}))
        of_record = changes.pop("of_record", {})
        stage = {"staged_live": "paper", "production": "staged_live"}.get(to_stage)
        facts: dict[str, Any] = {
            "pack": pack,
            "version": 4,
            "to_stage": to_stage,
            "now": NOW,
            "code": CODE if kind == "strategy" else None,
            "ledger": LedgerFacts(True, "", 1240, 1240),
            "record": record_of(pack, stage, **of_record) if stage else None,
        }
        return Case(**{**facts, **changes})

    def gate(self, name: str) -> Any:
        """Return a gate as params/gates.yaml has it."""
        for steps in self.policy.kinds.values():
            for step in steps.values():
                for gate in step.gates:
                    if gate.name == name:
                        return gate
        raise AssertionError(f"params/gates.yaml asks no {name}")

    def set(self, parts: dict[str, Any], part: str, path: str, value: Any) -> dict[str, Any]:
        """Put a value where the dotted path leads, ``folds.0.test_score``; ``...`` takes the key away."""
        *way, last = path.split(".")
        node = parts[part]
        for key in way:
            node = node[int(key)] if isinstance(node, list) else node[key]
        if value is ...:
            del node[last]
        else:
            node[int(last) if isinstance(node, list) else last] = value
        return parts


@pytest.fixture(scope="session")
def policy() -> Policy:
    """The policy of this checkout."""
    return Policy.read(ROOT / "params" / "gates.yaml", Paths(ROOT))


@pytest.fixture(scope="session")
def make(policy: Policy) -> Maker:
    """The maker of cases."""
    return Maker(policy)


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TrackRecord]:
    """The maker of track records: ``make_record(fills=0)``."""
    pack = pack_of("strategy", STRATEGY)

    def made(**changes: Any) -> TrackRecord:
        return record_of(pack, **changes)

    return made
