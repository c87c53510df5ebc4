"""`explain`: attributions sum to the explained score, per word as written, for every type of y and of text."""

import numpy as np
import pandas as pd
import pytest
import regex
import torch
from sklearn.exceptions import NotFittedError
from transformers import AutoModel, AutoTokenizer, BertModel, DistilBertConfig, ElectraConfig, RobertaConfig

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._inspection.integrated_gradients import _Scorer
from tests.conftest import WORDS, make_config, make_tokenizer
from tests.helpers import cases, exactly
from tests.inspection.languages import TEXTS as TEXTS_OF_LANGUAGES
from tests.inspection.languages import WORDS as WORDS_OF_LANGUAGES
from tests.model.tokenizers_of_families import tokenizer_of

EXACT = {
    "max_epochs": 3,
    "learning_rate": 1e-2,
    "batch_size": 8,
    "random_state": 0,
    "device": "cpu",
    "precision": "float64",
}
TEXTS = ["The movie was very good!", "it was not plodding", "bad", "the soup and the service was superb , really"]
PAIRS = [("the movie was good", "a great film"), ("bad soup", "it is a lovely plot and very nice acting"), ("", "good")]


@pytest.fixture(scope="module")
def fitted(tiny_bert, reviews):
    return BertClassifier(tiny_bert, **EXACT).fit(*reviews)


def length_in_words(texts):
    return np.array([len(text.split()) for text in texts])


def pairs_of(texts):
    return list(zip(texts, texts[1:] + texts[:1], strict=True))


def check_completeness(attribution, score, tolerance=1e-3):
    """The attributions of the words sum to the difference of the scores, up to the small reported error."""
    difference = attribution.score - attribution.baseline_score
    assert attribution.score == pytest.approx(score, abs=1e-9)
    assert attribution.attributions.sum() - difference == pytest.approx(attribution.convergence_delta, abs=1e-12)
    assert abs(attribution.convergence_delta) < tolerance * max(1, abs(difference))


# -- completeness, for every type of y ------------------------------------------------------------------


def test_explain_two_classes_sums_to_the_decision_function(fitted):
    margins = fitted.decision_function(TEXTS)
    probabilities = fitted.predict_proba(TEXTS)[:, 1]
    for attribution, margin, p in zip(fitted.explain(TEXTS, "good"), margins, probabilities, strict=True):
        assert (attribution.output_kind, attribution.target) == ("class", "good")
        assert attribution.probability == p
        check_completeness(attribution, margin)
    for opposite, expected in zip(fitted.explain(TEXTS, "bad"), fitted.explain(TEXTS, "good"), strict=True):
        np.testing.assert_allclose(opposite.attributions, -expected.attributions, atol=1e-12)


def test_explain_one_of_several_classes_sums_to_its_logit(tiny_bert, reviews):
    texts, _ = reviews
    y = length_in_words(texts) % 3 + 7
    estimator = BertClassifier(tiny_bert, **EXACT).fit(texts, y)
    probabilities = estimator.predict_proba(TEXTS)[:, 1]
    explained = zip(estimator.explain(TEXTS, 8), estimator.decision_function(TEXTS), probabilities, strict=True)
    for attribution, logits, p in explained:
        assert (attribution.output_kind, attribution.target, attribution.probability) == ("class", 8, p)
        check_completeness(attribution, logits[1])


def test_explain_a_label_sums_to_its_logit_and_uses_the_label_name(tiny_bert, reviews):
    texts, y = reviews
    labels = pd.DataFrame({"praise": np.array(y) == "good", "long": length_in_words(texts) > 5}).astype(int)
    estimator = BertClassifier(tiny_bert, **EXACT).fit(texts, labels)
    for attribution, logits in zip(estimator.explain(TEXTS, "long"), estimator.decision_function(TEXTS), strict=True):
        assert (attribution.output_kind, attribution.target) == ("label", "long")
        check_completeness(attribution, logits[1])
    estimator.fit(texts, labels.to_numpy())
    assert estimator.explain(TEXTS[:1], 1)[0].target == 1


def test_explain_an_output_uses_the_units_of_y(tiny_bert, reviews):
    texts, _ = reviews
    y = 1000 + 50.0 * length_in_words(texts)
    estimator = BertRegressor(tiny_bert, **EXACT).fit(texts, y)
    for attribution, value in zip(estimator.explain(TEXTS), estimator.predict(TEXTS), strict=True):
        assert (attribution.output_kind, attribution.target) == ("output", 0)
        check_completeness(attribution, value)
    estimator.fit(texts, np.column_stack([y, -y / 100]))
    for attribution, values in zip(estimator.explain(TEXTS, 1), estimator.predict(TEXTS), strict=True):
        check_completeness(attribution, values[1])


@pytest.mark.parametrize("pair_encoding", ["bi_encoder", "cross_encoder"])
def test_explain_a_pair_attributes_the_words_of_both_texts(tiny_bert, reviews, pair_encoding):
    texts, y = reviews
    estimator = BertClassifier(tiny_bert, pair_encoding=pair_encoding, **EXACT).fit(pairs_of(texts), y)
    attributions = estimator.explain(PAIRS, "good", n_steps=256)
    for pair, attribution, margin in zip(PAIRS, attributions, estimator.decision_function(PAIRS), strict=True):
        check_completeness(attribution, margin)
        assert attribution.texts == pair
        assert attribution.words == tuple(" ".join(pair).split())
        assert attribution.places[:, 0].tolist() == [0] * len(pair[0].split()) + [1] * len(pair[1].split())
        assert all(attribution.attributions != 0)


@pytest.mark.parametrize(
    "config",
    **cases(
        {
            "RoBERTa": RobertaConfig(max_position_embeddings=66, pad_token_id=0),
            "DistilBERT": DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32),
            "ELECTRA": ElectraConfig(embedding_size=8),
        }
    ),
)
def test_explain_supports_other_encoders(config, tmp_path, reviews):
    tokenizer = make_tokenizer(WORDS)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    if config.model_type != "distilbert":
        config.update(sizes)
    config.vocab_size = len(tokenizer)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    estimator = BertClassifier(tmp_path, **EXACT).fit(*reviews)
    for attribution, margin in zip(
        estimator.explain(TEXTS, "good", n_steps=256), estimator.decision_function(TEXTS), strict=True
    ):
        check_completeness(attribution, margin, tolerance=1e-2)


def test_convergence_delta_shrinks_with_n_steps_and_equals_that_of_captum(fitted):
    from captum.attr import LayerIntegratedGradients

    text = ["the movie was very good"]
    deltas = [abs(fitted.explain(text, "good", n_steps=n)[0].convergence_delta) for n in (2, 8, 128)]
    assert deltas[0] > 1e-4
    assert max(deltas[1:]) < 1e-7  # eight steps reach the rounding error

    encoded = fitted.tokenizer_(text, return_tensors="pt", return_token_type_ids=True)
    ids, mask, types = (encoded[name][None] for name in ("input_ids", "attention_mask", "token_type_ids"))
    baseline = ids.clone()
    baseline[..., 1:-1] = fitted.tokenizer_.pad_token_id
    scorer = _Scorer(fitted.module_)
    _, delta = LayerIntegratedGradients(scorer, scorer.embeddings).attribute(
        ids,
        baseline,
        additional_forward_args=(mask, types, torch.tensor([[-1.0, 1.0]], dtype=torch.float64)),
        n_steps=8,
        return_convergence_delta=True,
    )
    assert abs(delta.item()) == pytest.approx(deltas[1], abs=1e-9)


# -- words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    **cases(
        {
            "pieces": ("Movies, plodding slowly", ["Movies", ",", "plodding", "slowly"]),
            "accents and capitals": ("Véry GOOD", ["Véry", "GOOD"]),
            "unknown characters": ("good 日本 🙂", ["good", "日", "本", "🙂"]),
            "names of special tokens": ("the [SEP] was [CLS] good", ["the", "[SEP]", "was", "[CLS]", "good"]),
            "markup": ("<b>&amp;", ["<", "b", ">", "&", "amp", ";"]),
            "empty": ("", []),
        }
    ),
)
def test_explain_merges_word_pieces_to_words_as_written(fitted, text, words):
    [attribution] = fitted.explain([text])
    assert list(attribution.words) == words
    assert [text[begin:end] for _, begin, end in attribution.places] == words
    assert attribution.attributions.shape == (len(words),)


@pytest.mark.parametrize("kind", ["MiniLM's WordPiece", "SentencePiece"])
def test_explain_has_whole_words_at_their_places_in_every_language(kind, minilm, tmp_path, reviews):
    if kind == "SentencePiece":
        tokenizer = tokenizer_of("xlm-roberta", [*TEXTS_OF_LANGUAGES.values(), *reviews[0]])
    else:
        tokenizer = AutoTokenizer.from_pretrained(minilm)
    BertModel(make_config(len(tokenizer))).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    classifier = BertClassifier(str(tmp_path), **EXACT | {"max_epochs": 1}).fit(*reviews)
    for (language, text), attribution in zip(
        TEXTS_OF_LANGUAGES.items(), classifier.explain(list(TEXTS_OF_LANGUAGES.values()), n_steps=2), strict=True
    ):
        assert attribution.words == tuple(text[begin:end] for _, begin, end in attribution.places)
        assert "".join(attribution.words) == "".join(text.split())
        of_words = [character for word in attribution.words for character in regex.findall(r"\X", word)]
        assert of_words == regex.findall(r"\X", "".join(text.split()))
        if language in WORDS_OF_LANGUAGES.keys() - {"chinese", "emoji"}:  # a token may hold several of these
            assert list(attribution.words) == WORDS_OF_LANGUAGES[language]


def test_explain_a_long_text_covers_the_words_left_after_truncation(tiny_bert, reviews):
    text = " ".join(f"{word} the" for word in WORDS[:20])
    with pytest.warns(UserWarning, match="were cut"):
        estimator = BertClassifier(tiny_bert, max_length=8, **EXACT).fit(*reviews)
    [attribution] = estimator.explain([text], "good")
    kept = text.split()
    assert list(attribution.words) == [kept[0], *kept[-5:]]
    check_completeness(attribution, estimator.decision_function([text])[0])


def test_explain_a_text_in_windows_covers_the_whole_text(tiny_bert, reviews):
    settings = EXACT | {"long_text": "window", "max_length": 6, "stride": 2}
    classifier = BertClassifier(tiny_bert, **settings).fit(*reviews)
    texts = ["the movie was good and the plot was very very good", "good", ""]
    for attribution, text, margin in zip(
        classifier.explain(texts, "good"), texts, classifier.decision_function(texts), strict=True
    ):
        check_completeness(attribution, margin)
        assert list(attribution.words) == text.split()


def test_explain_gives_pad_tokens_no_attribution(fitted):
    """[PAD] is in the input and in the baseline, so it contributes nothing to the difference."""
    [attribution] = fitted.explain(["the movie [PAD] was good"])
    assert attribution.words[2] == "[PAD]"
    np.testing.assert_allclose(attribution.attributions[2], 0, atol=1e-12)


def test_explain_gives_the_decisive_word_the_largest_attribution(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **EXACT | {"max_epochs": 10}).fit(*reviews)
    for word, label in (("good", "good"), ("awful", "bad")):
        [attribution] = estimator.explain([f"the movie was {word}"])
        assert attribution.target == label
        assert attribution.words[attribution.attributions.argmax()] == word


def test_explain_merges_the_word_pieces_of_a_real_tokenizer(minilm):
    texts = ["unaffordable helmets", "lovely service"] * 4
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0).fit(texts, [0, 1] * 4)
    assert len(estimator.tokenizer_(texts[0])["input_ids"]) > 4
    [attribution] = estimator.explain(texts[:1])
    assert attribution.words == ("unaffordable", "helmets")
    difference = attribution.score - attribution.baseline_score
    assert attribution.attributions.sum() == pytest.approx(difference, abs=1e-2)


# -- which target -------------------------------------------------------------------------------------


def test_explain_without_target_explains_the_prediction(fitted, tiny_bert, reviews):
    texts, _ = reviews
    assert [a.target for a in fitted.explain(texts[:6], n_steps=1)] == fitted.predict(texts[:6]).tolist()
    labels = np.column_stack([length_in_words(texts) > 4, length_in_words(texts) <= 4]).astype(int)
    estimator = BertClassifier(tiny_bert, **EXACT).fit(texts, labels)
    most_probable = estimator.predict_proba(TEXTS).argmax(axis=1).tolist()
    assert [a.target for a in estimator.explain(TEXTS, n_steps=1)] == most_probable


@pytest.mark.parametrize("target", ["great", 1, ["good"]])
def test_explain_raises_for_an_unknown_target_and_lists_the_known_ones(fitted, target):
    message = f"Got target={target!r}, expected None or one of ['bad', 'good']. Pass the one to explain."
    with pytest.raises(ValueError, match=exactly(message)):
        fitted.explain(TEXTS, target)


def test_explain_raises_for_several_outputs_without_target(tiny_bert, reviews):
    texts, _ = reviews
    y = np.column_stack([length_in_words(texts), -length_in_words(texts)])
    estimator = BertRegressor(tiny_bert, **EXACT).fit(texts, y)
    message = (
        "Got target=None, but there are 2 outputs, and none comes first. Expected the position of one, from 0 to 1. "
        "Pass it as target."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        estimator.explain(TEXTS)


@pytest.mark.parametrize("n_steps", [0, 2.5])
def test_explain_raises_for_an_invalid_n_steps(fitted, n_steps):
    message = f"Got n_steps={n_steps}, expected an int of at least 1. 64 do for most texts."
    with pytest.raises(ValueError, match=exactly(message)):
        fitted.explain(TEXTS, n_steps=n_steps)


def test_explain_before_fit_raises_not_fitted_error(tiny_bert):
    with pytest.raises(NotFittedError):
        BertClassifier(tiny_bert).explain(TEXTS)


# -- nothing else changes -----------------------------------------------------------------------------


def test_explain_does_not_change_the_estimator_or_the_modes_of_torch(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **EXACT).fit(*reviews)
    state, hooks = torch.random.get_rng_state(), hooks_of(estimator.module_)
    with torch.inference_mode():
        first = estimator.explain(TEXTS)
        assert torch.is_inference_mode_enabled()
    with torch.no_grad():
        second = estimator.explain(TEXTS)
        assert not torch.is_grad_enabled()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.attributions, b.attributions)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None for p in estimator.module_.parameters())
    assert hooks_of(estimator.module_) == hooks


def hooks_of(module):
    """The hooks of all modules in it."""
    return [list(of_kind.values()) for m in module.modules() for of_kind in (m._forward_hooks, m._forward_pre_hooks)]


def test_explain_sets_no_hook_on_a_layer_that_predictions_use(fitted):
    """Captum replaces the output of a layer by a hook, which would change predictions of other threads."""
    before, hooks = hooks_of(fitted.module_.bert), []
    handle = fitted.module_.classifier.register_forward_hook(lambda *_: hooks.append(hooks_of(fitted.module_.bert)))
    fitted.explain(TEXTS[:1])
    handle.remove()
    assert len(hooks) > 2
    assert all(found == before for found in hooks)


def test_explain_in_smaller_batches_gives_the_same_attributions(fitted, monkeypatch):
    whole = fitted.explain(TEXTS)
    monkeypatch.setattr("sklearn_bert._inspection.integrated_gradients._TOKENS_AT_A_TIME", 50)
    for a, b in zip(whole, fitted.explain(TEXTS), strict=True):
        np.testing.assert_allclose(a.attributions, b.attributions, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_explain_on_a_gpu_sums_to_the_decision_function(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **EXACT | {"device": "cuda"}).fit(*reviews)
    for attribution, margin in zip(estimator.explain(TEXTS, "good"), estimator.decision_function(TEXTS), strict=True):
        check_completeness(attribution, margin)
