"""What parity cannot compare is refused in one line."""

from __future__ import annotations

import pytest

from workbench.cli.parity import written
from workbench.cli.trading import NO_STAGE
from workbench.live.seats import Leaving
from workbench.live.session import Seat


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "last week"], "--from 'last week' is not a date; write YYYY-MM-DD"),
        (["--from", "2024-02-01", "--to", "2024-01-01"], "--from 2024-02-01 is after --to 2024-01-01; swap them"),
    ],
)
def test_dates_that_are_none_are_refused(desk, words, says):
    assert desk.refusal("parity", "xs_momentum", *words) == says


def test_what_was_never_traded_cannot_be_compared(desk):
    done = desk.type("parity", "xs_momentum", "--from", "2024-01-02")
    assert done.returncode == 1
    assert done.stderr == (
        "error: xs_momentum: account PAPER has no decision of it between 2024-01-02 and now; trade it first: "
        "make paper\n"
    )


def test_what_moved_away_and_may_only_reduce_here_has_no_record_and_none_is_promised():
    at_stage = Seat(Leaving("one", ("AAA",)), "pack", 2, "staged_live")
    gone = Seat(Leaving("one", ("AAA",)), "pack", 2, NO_STAGE, "reduce_only")
    assert written(gone, "U2", None) == (
        "No record of one version 2 is kept in account U2: it stands at no stage here, and may only reduce."
    )
    assert written(at_stage, "U2", None).endswith("at staged_live in account U2 is kept yet; the runner writes it.")
    assert written(at_stage, "U2", 3) == "Written to the staged_live record of version 2: 3 sessions compared."
