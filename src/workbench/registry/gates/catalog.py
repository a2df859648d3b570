"""Every gate by the name that params/gates.yaml calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.registry.gates import models, payloads, provenance, skill, soundness, targets, trading

GATES: Mapping[str, type[Any]] = {
    gate.name: gate
    for gate in (
        soundness.Validation,
        soundness.Lookahead,
        skill.OutOfSample,
        skill.Folds,
        skill.DeflatedSharpe,
        skill.Overfitting,
        skill.TrackLength,
        skill.Costs,
        targets.Drawdown,
        targets.Sharpe,
        targets.ProfitFactor,
        provenance.CleanCommit,
        provenance.SameCode,
        provenance.Ledger,
        provenance.NoLaterTrials,
        provenance.PackAge,
        models.ModelAge,
        models.Drift,
        trading.LiveDays,
        trading.LiveTrades,
        trading.PositionsEqual,
        trading.Slippage,
        trading.NoSevereBreaks,
        trading.CapitalStepped,
        payloads.Reason,
        payloads.WeightBounds,
        payloads.WeightEvidence,
        payloads.Improvement,
        payloads.RiskLimits,
        payloads.PromptText,
        payloads.PromptCases,
    )
}
