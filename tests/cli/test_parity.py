"""What parity cannot compare is refused in one line."""

from __future__ import annotations

import pytest


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
