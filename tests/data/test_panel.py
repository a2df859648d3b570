"""Rows become date × symbol matrices: every value in its own cell, whether the table is full or has gaps."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from workbench.data.panel import panel

DAYS = (date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4))
FULL = [(day, name, 10.0 * number + of) for number, day in enumerate(DAYS) for of, name in enumerate(("AA1", "BB1"))]


def rows_of(found: list[tuple[date, str, float]]) -> pl.DataFrame:
    schema = {"session": pl.Date, "symbol": pl.String, "close": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")


def closes(found, symbols=None) -> tuple[tuple[str, ...], list[list[float]]]:
    made = panel(rows_of(found), "session", "symbol", symbols, ["close"])
    return made.symbols, made.fields["close"].tolist()


def test_a_full_table_lies_as_it_is():
    assert closes(FULL) == (("AA1", "BB1"), [[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]])


def test_what_is_written_into_a_matrix_is_not_written_into_the_rows():
    rows = rows_of(FULL)
    panel(rows, "session", "symbol", None, ["close"]).fields["close"][:] = 0.0
    assert rows["close"].to_list() == [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]


@pytest.mark.parametrize(
    ("symbols", "values"),
    [
        (["AA1", "BB1", "AA1"], [[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]]),
        (["BB1", "AA1"], [[1.0, 0.0], [11.0, 10.0], [21.0, 20.0]]),
        (["CC1", "BB1", "AA1"], [[np.nan, 1.0, 0.0], [np.nan, 11.0, 10.0], [np.nan, 21.0, 20.0]]),
    ],
)
def test_columns_stand_in_the_order_asked_for(symbols, values):
    names, found = closes(FULL, symbols)
    assert names == tuple(dict.fromkeys(symbols))
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("missing", range(6))
def test_a_row_that_is_not_there_is_a_gap_in_its_own_cell(missing):
    names, found = closes(FULL[:missing] + FULL[missing + 1 :])
    expected = np.array([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]])
    expected[missing // 2, missing % 2] = np.nan
    assert names == ("AA1", "BB1")
    np.testing.assert_array_equal(found, expected)


def test_as_many_rows_as_a_full_table_has_are_not_taken_for_one():
    # Two days of two rows each, but of other symbols: the count alone would fit.
    found = [(DAYS[0], "AA1", 1.0), (DAYS[0], "BB1", 2.0), (DAYS[1], "AA1", 3.0), (DAYS[1], "CC1", 4.0)]
    names, values = closes(found)
    assert names == ("AA1", "BB1", "CC1")
    np.testing.assert_array_equal(values, [[1.0, 2.0, np.nan], [3.0, np.nan, 4.0]])


def test_no_rows_are_no_times():
    assert closes([]) == ((), [])
    assert closes([], ["AA1"]) == (("AA1",), [])
