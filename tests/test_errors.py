"""What an error says about a word it does not know."""

from workbench.errors import did_you_mean


def test_the_nearest_known_word_is_proposed():
    assert did_you_mean("windw", ["window", "hold"]) == " Did you mean 'window'?"


def test_a_few_known_words_are_all_named_where_none_is_near():
    assert did_you_mean("x", ["slow", "fast"]) == " Known: fast, slow."


def test_of_many_known_words_a_dozen_is_named_and_the_rest_counted():
    known = [f"TEC{number:02d}" for number in range(30)]
    assert did_you_mean("SPY", known) == f" Known: {', '.join(known[:12])} and 18 more."


def test_nothing_is_said_where_nothing_is_known():
    assert did_you_mean("x", []) == ""
