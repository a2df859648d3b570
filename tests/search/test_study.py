import json

import pytest

from workbench.backtest.trials import Ledger, Question
from workbench.errors import InputRefused
from workbench.search.bar import NoBar
from workbench.search.study import distributions, stages
from workbench.search.sweep import Request, sweep

WIDE = ("fast=2:20:1", "slow=6:60:3")


def test_distributions_follow_the_grid():
    found = distributions({"a": [5, 10, 15], "b": [10, 20, 50], "c": [0.2, 0.9], "d": [None, 0.4], "e": ["x", "y"]})
    assert json.loads(json.dumps({name: str(one) for name, one in found.items()})) == {
        "a": "IntDistribution(high=15, log=False, low=5, step=5)",
        "b": "IntDistribution(high=50, log=False, low=10, step=1)",
        "c": "FloatDistribution(high=0.9, log=False, low=0.2, step=None)",
        "d": "CategoricalDistribution(choices=(None, 0.4))",
        "e": "CategoricalDistribution(choices=('x', 'y'))",
    }


def test_trials_are_judged_after_a_quarter_a_half_and_all_of_the_windows():
    assert stages(11) == (3, 6, 11)
    assert stages(4) == (1, 2, 4)
    assert stages(1) == (1,)


def test_trials_with_a_seed_are_the_same_each_time_and_all_are_counted(desk, tmp_path):
    found = desk.sweep(*WIDE, trials=24, seed=3)
    assert len(found.trials) == 24
    assert set(found.trials["status"]) == {"done", "pruned"}
    pruned = found.trials[found.trials["status"] == "pruned"]
    assert (pruned["folds"] < 4).all()
    ledger = Ledger(desk.paths.trials).trials(Question(desk.params.question, "sample"))
    assert len(ledger) == found.trials["cell"].nunique()
    assert set(ledger["source"]) == {"optuna"}
    # What was pruned was never measured on a test window.
    assert found.table[found.table["status"] == "pruned"]["test_score"].isna().all()
    again = desk.sweep(*WIDE, trials=24, seed=3, fresh=True)
    assert again.trials.equals(found.trials)
    assert again.run_id != found.run_id
    assert not desk.sweep(*WIDE, trials=24, seed=4).trials.equals(found.trials)


def test_interrupted_trials_go_on_as_if_nothing_had_happened(desk):
    class Impatient(NoBar):
        def advance(self, count: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.sweep(*WIDE, trials=16, seed=3, bar=Impatient())
    resumed = desk.sweep(*WIDE, trials=16, seed=3)
    whole = desk.sweep(*WIDE, trials=16, seed=3, fresh=True)
    assert 0 < resumed.measured < whole.measured
    assert resumed.trials.equals(whole.trials)
    assert resumed.table.equals(whole.table)


def test_an_unknown_sampler_names_the_known(desk):
    request = Request("sma_cross", (), 5, "tpee")
    with pytest.raises(InputRefused, match=r"--sampler tpee: no such sampler\. Did you mean 'tpe'\?"):
        sweep(request, desk.params, desk.bars, desk.settings, desk.paths, made_by={})


def test_a_grid_that_the_strategy_nearly_always_refuses_is_named(desk):
    with pytest.raises(InputRefused, match="trials make no sense, the last: sma_cross: fast"):
        desk.sweep("fast=50:1000:1", "slow=2:51:1", trials=8)
