"""Token ids are compared with calls of the tokenizer for single rows, the truncation report with counts by hand."""

import re

import numpy as np
import pytest
from tokenizers import processors

from sklearn_bert._encoding import tokenization
from sklearn_bert._encoding.tokenization import token_places, tokenize, truncation_report
from sklearn_bert._encoding.truncation import TruncationReport, resolve_max_length
from tests.conftest import WORDS, make_tokenizer

TEXTS = ["the movie was great", "", "bad", "it is not very good , really !", "a", "a " * 100]
OTHERS = ["a", "soup", "", "the plot was dull", "a " * 100, "very nice"]
both_shapes = pytest.mark.parametrize("columns", [(TEXTS,), (TEXTS, OTHERS)], ids=["texts", "pairs"])
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(WORDS)


def rows_of(tokens):
    """(input_ids, token_type_ids) of each row, as lists."""
    bounds = tokens.offsets[1:-1]
    parts = (np.split(values, bounds) for values in (tokens.input_ids, tokens.token_type_ids))
    return [(ids.tolist(), types.tolist()) for ids, types in zip(*parts, strict=True)]


def encoded_row_by_row(tokenizer, columns, max_length):
    """The rows of `rows_of`, from one call of the tokenizer per row."""
    rows = []
    for row in zip(*columns, strict=True):
        batch_of_one = ([text] for text in row)  # as a str, an empty second text would count as absent
        encoded = tokenizer(
            *batch_of_one, truncation="longest_first", max_length=max_length, return_token_type_ids=True
        )
        rows.append((encoded["input_ids"][0], encoded["token_type_ids"][0]))
    return rows


def words(n):
    return "a " * n


@both_shapes
@pytest.mark.parametrize("max_length", [5, 8, 64])
def test_tokenize_equals_one_tokenizer_call_per_row(tokenizer, columns, max_length):
    assert rows_of(tokenize(tokenizer, columns, max_length)) == encoded_row_by_row(tokenizer, columns, max_length)


@both_shapes
@pytest.mark.parametrize("chunk", [1, 4, 6])
def test_tokenize_does_not_depend_on_the_chunk_size(tokenizer, columns, chunk, monkeypatch):
    monkeypatch.setattr(tokenization, "_CHUNK", chunk)
    assert rows_of(tokenize(tokenizer, columns, 8)) == encoded_row_by_row(tokenizer, columns, 8)


def test_tokenize_keeps_the_order_of_rows_over_several_chunks(tokenizer):
    n = tokenization._CHUNK + 3
    lengths = tokenize(tokenizer, ([words(i % 7) for i in range(n)],), 64).lengths
    assert lengths.tolist() == [2 + i % 7 for i in range(n)]


@both_shapes
def test_tokens_have_the_number_and_the_lengths_of_the_rows(tokenizer, columns):
    tokens = tokenize(tokenizer, columns, 8)
    expected = [len(ids) for ids, _ in encoded_row_by_row(tokenizer, columns, 8)]
    assert len(tokens) == len(TEXTS)
    assert tokens.lengths.tolist() == expected


def test_tokens_hold_arrays_of_the_documented_dtypes(tokenizer):
    tokens = tokenize(tokenizer, (TEXTS,), 8)
    assert [a.dtype for a in (tokens.input_ids, tokens.token_type_ids, tokens.offsets)] == [np.int32, np.int8, np.int64]


@pytest.mark.parametrize("max_length", [3, 4, 9])
def test_truncate_keeps_the_beginning_and_the_special_tokens(tokenizer, max_length):
    text = "the movie plot was great fine nice lovely superb"
    [(ids, _)] = rows_of(tokenize(tokenizer, ([text],), max_length))
    expected = tokenizer.convert_tokens_to_ids(text.split()[: max_length - 2])
    assert ids == [CLS, *expected, SEP]


@pytest.mark.parametrize(
    ("max_length", "kept"), [(3, "superb"), (4, "lovely superb"), (8, "the great fine nice lovely superb")]
)
def test_head_tail_keeps_both_ends_and_the_special_tokens(tokenizer, max_length, kept):
    texts = ["the movie plot was great fine nice lovely superb", "the movie plot was"]
    cut, whole = rows_of(tokenize(tokenizer, (texts,), max_length, "head_tail"))
    assert cut == ([CLS, *tokenizer.convert_tokens_to_ids(kept.split()), SEP], [0] * max_length)
    assert whole == rows_of(tokenize(tokenizer, (texts[1:],), max_length, "head_tail"))[0]


def test_head_tail_leaves_short_texts_whole(tokenizer):
    assert rows_of(tokenize(tokenizer, (TEXTS[:5],), 64, "head_tail")) == rows_of(tokenize(tokenizer, (TEXTS[:5],), 64))


def test_head_tail_cuts_pairs_as_truncate_does(tokenizer):
    columns = (TEXTS, OTHERS)
    assert rows_of(tokenize(tokenizer, columns, 8, "head_tail")) == rows_of(tokenize(tokenizer, columns, 8))


@pytest.mark.parametrize(
    ("n_first", "n_second", "max_length", "kept"),
    [
        (6, 3, 12, (6, 3)),
        (6, 3, 10, (4, 3)),
        (6, 3, 9, (3, 3)),
        (3, 6, 10, (3, 4)),
        (20, 1, 7, (3, 1)),
        (9, 9, 5, (1, 1)),
    ],
)
def test_truncate_cuts_the_longer_text_of_a_pair_first(tokenizer, n_first, n_second, max_length, kept):
    [(ids, types)] = rows_of(tokenize(tokenizer, ([words(n_first)], [words(n_second)]), max_length))
    assert len(ids) == sum(kept) + 3
    assert types == [0] * (kept[0] + 2) + [1] * (kept[1] + 1)
    assert [ids[0], ids[kept[0] + 1], ids[-1]] == [CLS, SEP, SEP]


def test_empty_text_has_only_special_tokens(tokenizer):
    assert rows_of(tokenize(tokenizer, ([""],), 8)) == [([CLS, SEP], [0, 0])]


@pytest.mark.parametrize(
    ("first", "second", "types"),
    [("", "", [0, 0, 1]), ("a", "", [0, 0, 0, 1]), ("", "a", [0, 0, 1, 1])],
    ids=["both", "second", "first"],
)
def test_pair_with_empty_texts_keeps_its_token_type_ids(tokenizer, first, second, types):
    assert rows_of(tokenize(tokenizer, ([first], [second]), 8))[0][1] == types


@pytest.mark.parametrize(
    ("counts", "max_length", "expected"),
    [
        ([1, 3, 5], 7, {"n_truncated": 0, "n_tokens_cut": 0, "longest": 7}),
        ([1, 3, 5], 6, {"n_truncated": 1, "n_tokens_cut": 1, "longest": 7}),
        ([4, 4, 9, 0], 6, {"n_truncated": 1, "n_tokens_cut": 5, "longest": 11}),
        ([5, 10, 15], 3, {"n_truncated": 3, "n_tokens_cut": 27, "longest": 17}),
        ([0, 0], 3, {"n_truncated": 0, "n_tokens_cut": 0, "longest": 2}),
        ([100], 64, {"n_truncated": 1, "n_tokens_cut": 38, "longest": 102}),
    ],
    ids=["none cut", "one cut", "full rows are not cut", "all cut", "empty texts", "longer than the model allows"],
)
def test_truncation_report_counts_the_rows_and_tokens_cut(tokenizer, counts, max_length, expected):
    """A text of n words has n + 2 tokens."""
    columns = ([words(n) for n in counts],)
    report = truncation_report(tokenize(tokenizer, columns, max_length), max_length)
    assert report == TruncationReport(n_rows=len(counts), max_length=max_length, **expected)


def test_truncation_report_counts_both_texts_of_a_pair(tokenizer):
    columns = ([words(10), "a", ""], [words(4), "a", words(20)])  # 17, 5 and 23 tokens
    report = truncation_report(tokenize(tokenizer, columns, 8), 8)
    assert report == TruncationReport(n_rows=3, n_truncated=2, n_tokens_cut=9 + 15, longest=23, max_length=8)


def test_truncation_report_counts_a_bi_encoder_pair_once(tokenizer):
    """A pair counts as truncated if one of its texts is, and counts once."""
    columns = ([words(n) for n in (10, 8, 1, 1, 0, 20, 9, 2)],)
    report = truncation_report(tokenize(tokenizer, columns, 8), 8, n_texts=2)
    cut = (10 - 6) + (8 - 6) + (20 - 6) + (9 - 6)
    assert report == TruncationReport(n_rows=4, n_truncated=3, n_tokens_cut=cut, longest=22, max_length=8)


@pytest.mark.parametrize("n_columns", [1, 2], ids=["texts", "pairs"])
@pytest.mark.parametrize(
    ("of_tokenizer", "of_config", "expected"),
    [(64, 64, 64), (32, 64, 32), (64, 32, 32), (int(1e30), 48, 48), (48, None, 48)],
    ids=["equal", "tokenizer's", "config's", "tokenizer without limit", "config without positions"],
)
def test_max_length_none_is_the_limit_of_the_model(of_tokenizer, of_config, expected, n_columns):
    assert resolve_max_length(None, make_tokenizer(WORDS, of_tokenizer), of_config, n_columns) == expected


@pytest.mark.parametrize(("max_length", "n_columns"), [(3, 1), (5, 2), (64, 1), (64, 2)])
def test_max_length_within_the_limits_is_kept(tokenizer, max_length, n_columns):
    assert resolve_max_length(max_length, tokenizer, 64, n_columns) == max_length


def test_max_length_above_the_limit_of_the_model_raises(tokenizer):
    message = (
        "max_length=65 is more than the model's 64 positions. Expected at most 64. "
        "Lower max_length, or pass None for the model's own limit."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_max_length(65, tokenizer, 64, 1)


@pytest.mark.parametrize(
    ("max_length", "n_columns", "n_special", "least"),
    [(2, 1, 2, 3), (4, 2, 3, 5), (1, 1, 2, 3)],
    ids=["text", "pair", "less than the special tokens"],
)
def test_max_length_too_small_for_any_text_raises(tokenizer, max_length, n_columns, n_special, least):
    message = (
        f"max_length={max_length} leaves no token for text beside {n_special} special tokens. "
        f"Expected at least {least}; raise max_length."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_max_length(max_length, tokenizer, 64, n_columns)


def test_take_returns_the_tokens_of_the_rows_in_the_given_order(tokenizer):
    texts = ["good", "", "the movie was very bad", "not"]
    tokens, rows = tokenize(tokenizer, (texts,), 64), [2, 0, 2, 1]
    taken, expected = tokens.take(rows), tokenize(tokenizer, ([texts[i] for i in rows],), 64)
    np.testing.assert_array_equal(taken.offsets, expected.offsets)
    np.testing.assert_array_equal(taken.input_ids, expected.input_ids)
    np.testing.assert_array_equal(taken.token_type_ids, expected.token_type_ids)


@both_shapes
@pytest.mark.parametrize("long_text", ["truncate", "head_tail"])
@pytest.mark.parametrize("max_length", [5, 8, 64])
def test_token_places_give_the_characters_of_each_token_and_none_for_special_tokens(
    tokenizer, columns, max_length, long_text
):
    tokens = tokenize(tokenizer, columns, max_length, long_text)
    for i, places in enumerate(token_places(tokenizer, columns, max_length, long_text)):
        ids, _ = tokens[i]
        assert len(places) == len(ids)
        for token, (text, begin, end) in zip(tokenizer.convert_ids_to_tokens(ids.tolist()), places, strict=True):
            if text == -1:
                assert token in ("[CLS]", "[SEP]")
            else:
                assert token.removeprefix("##") == columns[text][i][begin:end]


def test_token_places_raise_for_a_slow_tokenizer():
    class Slow:
        is_fast = False

    message = (
        "The tokenizer Slow cannot tell which characters a token stands for. Expected a fast tokenizer, one with a "
        "tokenizer.json. Choose a checkpoint that has one."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        token_places(Slow(), (TEXTS,), 8, "truncate")


def test_windows_need_no_latin_letter_in_the_vocabulary():
    cyrillic = make_tokenizer(["да", "нет"], letters="едтн")
    whole = cyrillic("н д н д н д")["input_ids"]
    tokens = tokenize(cyrillic, (["н д н д н д"],), 5, "window", stride=0)
    windows = [tokens[i][0].tolist() for i in range(len(tokens))]
    assert windows == [[whole[i] for i in places] for places in ([0, 1, 2, 3, 7], [0, 4, 5, 6, 7])]


def test_truncate_keeps_the_beginning_for_any_truncation_side_of_the_tokenizer(tokenizer):
    """The tokenizer itself would keep the end with truncation_side="left"."""
    other = make_tokenizer(WORDS)
    other.truncation_side = "left"
    assert rows_of(tokenize(other, (TEXTS,), 5)) == rows_of(tokenize(tokenizer, (TEXTS,), 5))


def test_tokenize_does_not_change_the_tokenizer():
    tokenizer = make_tokenizer(WORDS)
    before = tokenizer.backend_tokenizer.to_str()
    tokenize(tokenizer, (TEXTS, OTHERS), 5)
    assert tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize("post_processor", ["none", "two before"])
def test_tokenize_keeps_other_special_tokens(post_processor):
    """One tokenizer adds no special token, so that an empty text is one padding token; the other adds two in front."""
    tokenizer = make_tokenizer(WORDS)
    n_before = 0 if post_processor == "none" else 2
    special = "[CLS] " * n_before
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{special}$A", pair=f"{special}$A $B:1", special_tokens=[("[CLS]", CLS)]
    )
    ids = [ids for ids, _ in rows_of(tokenize(tokenizer, (["", words(9)],), 6, "head_tail"))]
    assert ids[0] == ([tokenizer.pad_token_id] if n_before == 0 else [CLS] * 2)
    assert len(ids[1]) == 6
    assert ids[1][:n_before] == [CLS] * n_before
