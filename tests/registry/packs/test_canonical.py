"""One spelling for every fact."""

import json
import string
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import PackRefused
from workbench.registry.packs.canonical import canonical, jsonable, moment_text, read_canonical, read_moment, sha256

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(string.printable, max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def test_keys_are_sorted_and_nothing_is_spaced():
    assert canonical({"b": [1, 2.5, None], "a": "Ω"}) == '{"a":"Ω","b":[1,2.5,null]}'.encode()


def test_the_digest_is_that_of_the_standard():
    # FIPS 180-2, appendix B.1
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(VALUES)
def test_what_is_written_is_read_back_and_has_one_spelling(value):
    written = canonical(value)
    assert canonical(read_canonical(written, "x")) == written


@given(VALUES, st.data())
def test_any_other_spelling_of_the_same_value_is_refused(value, data):
    text = json.dumps(value, indent=data.draw(st.sampled_from([0, 1])), ensure_ascii=data.draw(st.booleans()))
    if text.encode() == canonical(value):
        return
    with pytest.raises(PackRefused, match="canonical form"):
        read_canonical(text.encode(), "x")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"a":1,"a":2}', "canonical"),
        (b'{"a":1}\n', "canonical"),
        (b'{"a":1.0e0}', "canonical"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON|canonical"),
        ('{"a":1}'.encode("utf-16"), "canonical"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":1e400}', "not JSON"),
        (b'{"a":"\\ud800"}', "not JSON"),
        (b'{"a":', "not JSON"),
        (b"", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
    ],
)
def test_a_second_key_a_space_or_a_value_that_is_no_number_is_refused(content, why):
    with pytest.raises(PackRefused, match=why):
        read_canonical(content, "manifest.json")


def test_values_of_the_workbench_become_json():
    value = {
        "nan": np.float64("nan"),
        "count": np.int64(3),
        "day": date(2026, 1, 31),
        "at": datetime(2026, 1, 31, 22, 0, 0, 999, tzinfo=UTC),
        "names": {"b", "a"},
    }
    assert jsonable(value) == {
        "nan": None, "count": 3, "day": "2026-01-31", "at": "2026-01-31T22:00:00Z", "names": ["a", "b"],
    }  # fmt: skip


def test_what_has_no_place_in_json_is_refused():
    with pytest.raises(TypeError, match="a bytes has no place"):
        jsonable({"x": b"raw"})


def test_a_moment_is_written_in_whole_seconds_of_utc_and_read_back():
    moment = datetime(2026, 7, 1, 9, 30, 5, tzinfo=UTC)
    assert moment_text(moment) == "2026-07-01T09:30:05Z"
    assert read_moment("2026-07-01T09:30:05Z", "x") == moment


@pytest.mark.parametrize("text", ["2026-07-01", "2026-07-01T09:30:05+02:00", 5, None, ""])
def test_a_text_that_is_no_moment_is_refused(text):
    with pytest.raises(PackRefused, match="is not a moment such as"):
        read_moment(text, "made_at")
