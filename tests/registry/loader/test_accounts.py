"""Which market trades in which account, and with how much."""

from __future__ import annotations

import pytest

from tests.registry.loader.conftest import STAGES
from workbench.registry.loader import AccountMode

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.mark.parametrize(
    ("stage", "account", "said"),
    [
        ("paper", AccountMode.LIVE, "paper trades in a embedded or paper account, this one is live"),
        ("staged_live", AccountMode.PAPER, "staged_live trades in a live account, this one is paper"),
        ("staged_live", AccountMode.EMBEDDED, "staged_live trades in a live account, this one is embedded"),
        ("production", AccountMode.PAPER, "production trades in a live account, this one is paper"),
        ("production", AccountMode.EMBEDDED, "production trades in a live account, this one is embedded"),
    ],
)
def test_an_account_of_another_kind_than_the_stages_is_refused(runner, stage, account, said):
    runner.stand(stage)
    assert said in runner.refusal(stage=stage, account=account)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("account", [AccountMode.PAPER, AccountMode.LIVE])
def test_the_sample_market_never_trades_in_a_brokers_account(runner, stage, account):
    runner.stand(stage, market="sample")
    said = runner.refusal(stage=stage, account=account, market="sample")
    assert (
        f"its evidence is of the sample market, which is made, so it never trades in a broker's {account} account"
        in said
    )
    assert runner.load(stage, AccountMode.EMBEDDED, market="sample").pack.market == "sample"


def test_evidence_of_one_market_is_refused_on_the_data_of_the_other(runner):
    runner.stand()
    assert "its evidence is of the real market, the settings read the sample one" in runner.refusal(market="sample")


@pytest.mark.parametrize(
    "limits",
    [{}, {"capital_steps": []}, {"capital_steps": [999]}, {"capital_steps": [10_001]}, {"capital_steps": [5000, 1000]},
     {"capital_steps": ["1000"]}, {"capital_steps": [True]}, {"capital_steps": 1000}, {"capital_steps": [1000, 1000]}],
)  # fmt: skip
def test_staged_live_never_lacks_its_bound(runner, limits):
    runner.stand("staged_live", proposal={"limits": limits})
    said = runner.refusal(stage="staged_live", account=AccountMode.LIVE)
    assert "staged live trades rising steps of 1,000 to 10,000 dollars" in said
