"""Which tokens of texts, pairs and windows are kept, computed from their lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_bert._encoding.truncation import span_pairs, span_texts, span_windows
from tests.conftest import WORDS, make_tokenizer

lengths = st.lists(st.integers(0, 40), min_size=1, max_size=8).map(np.array)


@given(lengths, st.integers(3, 20), st.integers(0, 2), st.integers(0, 1), st.booleans())
def test_span_texts_keeps_whole_texts_that_fit_and_fills_the_limit_otherwise(n, limit, n_before, n_after, keep_end):
    starts, sizes = span_texts(n, limit, n_before, n_after, keep_end=keep_end)
    n_text = limit - n_before - n_after
    np.testing.assert_array_equal(sizes.sum(axis=1), np.minimum(n, n_text))
    assert (starts >= 0).all()
    assert (starts + sizes <= n[:, None]).all()
    assert (starts[:, 0] == 0).all()
    np.testing.assert_array_equal(starts[:, 1] + sizes[:, 1], np.where(sizes[:, 1] > 0, n, starts[:, 1]))
    if not keep_end:
        assert not sizes[:, 1].any()


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("second", range(8))
@pytest.mark.parametrize("max_length", [5, 6, 9, 12])
def test_span_pairs_cuts_as_a_fast_tokenizer_does(first, second, max_length):
    encoded = make_tokenizer(WORDS)(
        ["a " * first], ["a " * second], truncation="longest_first", max_length=max_length, return_token_type_ids=True
    )
    n_second = sum(encoded["token_type_ids"][0]) - 1  # one of them is [SEP]
    n_first = len(encoded["input_ids"][0]) - n_second - 3
    assert span_pairs(np.array([first]), np.array([second]), max_length, 3).tolist() == [[n_first, n_second]]


@given(lengths, st.integers(4, 12), st.integers(0, 2), st.data())
def test_span_windows_covers_each_text_in_order(n, limit, n_special, data):
    n_text = limit - n_special
    stride = data.draw(st.integers(0, n_text - 1))
    starts, sizes, n_windows = span_windows(n, limit, n_special, stride)
    assert n_windows.sum() == len(starts) == len(sizes)
    for text, of_text in enumerate(np.split(np.arange(len(starts)), np.cumsum(n_windows)[:-1])):
        begin, size = starts[of_text], sizes[of_text]
        assert begin[0] == 0
        assert begin[-1] + size[-1] == n[text]
        assert (size == min(n[text], n_text)).all()
        overlaps = begin[:-1] + size[:-1] - begin[1:]
        assert (overlaps >= stride).all()
        assert (overlaps[:-1] == stride).all()
