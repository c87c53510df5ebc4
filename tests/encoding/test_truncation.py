"""Arithmetic on lengths: what is kept of texts, pairs and windows."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_bert._encoding.truncation import kept_parts
from tests.conftest import WORDS, make_tokenizer
from tests.integration.generated import REPRODUCIBLE


def kept_of(n, *arguments):
    """For each row that a text of n tokens becomes, the positions of the tokens it keeps."""
    rows = kept_parts((n,), *arguments)
    return [[i for part in parts for i in range(n)[part]] for (parts,) in rows]


@given(st.integers(0, 60), st.integers(3, 20), st.integers(0, 2), st.integers(0, 1))
@settings(max_examples=200, **REPRODUCIBLE)
def test_a_text_loses_its_end_or_its_middle_only_as_far_as_it_must(n, max_length, n_before, n_after):
    n_free, n_special = max_length - n_before - n_after, [n_before, n_after]
    [truncated] = kept_of(n, max_length, n_special)
    assert truncated == list(range(min(n, n_free)))
    [head_tail] = kept_of(n, max_length, n_special, "head_tail")
    assert len(head_tail) == min(n, n_free)
    assert head_tail == sorted(set(head_tail))
    if n > n_free:
        n_first = sum(i == position for i, position in enumerate(head_tail))
        assert n_first == max(0, -(-max_length // 4) - n_before)
        assert head_tail[n_first:] == list(range(n - n_free + n_first, n))


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("second", range(8))
@pytest.mark.parametrize("max_length", [5, 6, 9, 12])
def test_a_pair_is_cut_as_a_fast_tokenizer_cuts_it(first, second, max_length):
    encoded = make_tokenizer(WORDS)(
        ["a " * first], ["a " * second], truncation="longest_first", max_length=max_length, return_token_type_ids=True
    )
    n_second = sum(encoded["token_type_ids"][0]) - 1  # one of them is [SEP]
    n_first = len(encoded["input_ids"][0]) - n_second - 3
    [[[of_first], [of_second]]] = kept_parts((first, second), max_length, [1, 1, 1])
    assert (len(range(first)[of_first]), len(range(second)[of_second])) == (n_first, n_second)


@given(st.integers(0, 60), st.integers(4, 12), st.integers(0, 1), st.data())
@settings(max_examples=200, **REPRODUCIBLE)
def test_windows_cover_a_text_in_order_and_share_the_stride(n, max_length, n_before, data):
    n_free = max_length - n_before - 1
    stride = data.draw(st.integers(0, n_free - 1))
    windows = kept_of(n, max_length, [n_before, 1], "window", stride)
    assert windows[0][:1] == list(range(min(n, 1)))
    assert windows[-1][-1:] == list(range(n))[-1:]
    assert all(len(window) == min(n, n_free) for window in windows)
    assert all(window == list(range(window[0], window[-1] + 1)) for window in windows if window)
    overlaps = [len(set(one) & set(other)) for one, other in pairwise(windows)]
    assert all(overlap == stride for overlap in overlaps[:-1])
    assert all(overlap >= stride for overlap in overlaps)
