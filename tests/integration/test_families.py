"""Families of encoders: what works with each is as the table in docs/families.md says, which this module writes.

``python -m tests.integration.test_families`` computes all cells, and writes the page.
"""

import pickle
import tempfile
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from transformers import CONFIG_MAPPING, AutoModel

from sklearn_bert import BertClassifier, BertVectorizer
from sklearn_bert._runtime import device
from sklearn_bert._training.training_net import BertNet
from tests.helpers import FAST
from tests.model.families import FAMILIES, NO_BFLOAT16, NO_TEXTS, PADDING_LEAKS, TYPES_AMONG_WORDS, save_family
from tests.model.tokenizers_of_families import kind_of, tokenizer_of

# transformers 5.0 compiles parts of DeBERTa and ModernBERT when they are first imported, by what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
PAGE = Path(__file__).parents[2] / "docs" / "families.md"
SETTINGS = FAST | {"max_epochs": 1, "learning_rate": 1e-3, "batch_size": 12, "precision": "float32"}
GOOD, BAD = "good great fine nice lovely superb".split(), "bad awful poor dull terrible broken".split()
BEGINS = "the movie was", "it was very", "the soup was not"
TEXTS = [f"{begin} {word}" for begin in BEGINS for pair in zip(GOOD, BAD, strict=True) for word in pair]
LABELS = ["good", "bad"] * 18
PAIRS = pd.DataFrame({"first": TEXTS, "second": TEXTS[::-1]})
LONG = "good " * 40


@cache
def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="families")  # is removed when the process ends


def new_folder():
    return tempfile.mkdtemp(dir=temporary_folder().name)


@cache
def folder_of(model_type):
    """Folder of a small encoder with random weights, and with its own kind of tokenizer."""
    if model_type not in CONFIG_MAPPING:
        pytest.skip(f"this version of transformers has no {model_type}")
    tokenizer = tokenizer_of(model_type, TEXTS)
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.cls_token_id}
    ids |= {"eos_token_id": tokenizer.sep_token_id, "max_position_embeddings": 66}
    return save_family(new_folder(), model_type, tokenizer, **ids)


def fit(model_type, X=TEXTS, **changes):
    return BertClassifier(folder_of(model_type), **SETTINGS | changes).fit(X, LABELS)


@cache
def fitted(model_type):
    return fit(model_type)


# -- what works: a function per column, which returns the cell, or raises ---------------------------------


def fits(model_type):
    before = AutoModel.from_pretrained(folder_of(model_type)).state_dict()
    after = fitted(model_type).module_.bert.state_dict()
    assert max(abs(after[name] - before[name]).max() for name in before if before[name].is_floating_point()) > 1e-4


def same_alone_and_in_company(classifier, X):
    rows = [X[i : i + 1] for i in range(3)]
    alone = np.concatenate([classifier.predict_proba(row) for row in rows])
    long = pd.DataFrame({"first": [LONG], "second": ["bad"]}) if isinstance(X, pd.DataFrame) else [LONG]
    company = pd.concat([*rows, long]) if isinstance(X, pd.DataFrame) else [*X[:3], *long]
    np.testing.assert_allclose(classifier.predict_proba(company)[:3], alone, rtol=0, atol=1e-5)


def predicts(model_type):
    same_alone_and_in_company(fitted(model_type), TEXTS)
    same_alone_and_in_company(pickle.loads(pickle.dumps(fitted(model_type))), TEXTS)


def joint_pairs(model_type):
    classifier = fit(model_type, PAIRS, pair_encoding="cross_encoder")
    same_alone_and_in_company(classifier, PAIRS)
    assert not classifier.module_.bi_encoder


def separate_pairs(model_type):
    classifier = fit(model_type, PAIRS, pair_encoding="bi_encoder")
    same_alone_and_in_company(classifier, PAIRS)
    assert classifier.module_.bi_encoder


def saves_and_loads(model_type):
    folder = new_folder() + "/saved"
    fitted(model_type).save_pretrained(folder)
    again = BertClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), fitted(model_type).predict_proba(TEXTS))


def frozen(model_type):
    before = AutoModel.from_pretrained(folder_of(model_type)).state_dict()
    after = fit(model_type, freeze="encoder").module_.bert.state_dict()
    assert all(before[name].equal(after[name]) for name in before)


def layer_decay(model_type):
    before = AutoModel.from_pretrained(folder_of(model_type)).get_input_embeddings().weight
    plain, decayed = fitted(model_type), fit(model_type, layer_decay=0.01)
    changes = [abs(c.module_.bert.get_input_embeddings().weight - before).max() for c in (plain, decayed)]
    assert 0 < changes[1] < 0.1 * changes[0]


def resumes(model_type):
    train_step, state = BertNet.train_step, new_folder()

    def fail_in_the_second_epoch(net, batch, **params):
        if len(net.history) == 2:
            raise KeyboardInterrupt
        return train_step(net, batch, **params)

    with mock.patch.object(BertNet, "train_step", fail_in_the_second_epoch), pytest.raises(KeyboardInterrupt):
        fit(model_type, max_epochs=2, checkpoint_dir=state)
    resumed, undisturbed = (fit(model_type, max_epochs=2, **c) for c in ({"checkpoint_dir": state}, {}))
    np.testing.assert_array_equal(resumed.predict_proba(TEXTS), undisturbed.predict_proba(TEXTS))


def auto_precision(model_type):
    with mock.patch.object(device, "_has_bfloat16", return_value=True):
        classifier = fit(model_type, precision="auto")
    assert np.isfinite(classifier.predict_proba(TEXTS)).all()
    return classifier.net_.precision


def explains(model_type):
    text = "The movie was very good!"
    [explanation] = fitted(model_type).explain([text], "good", n_steps=16)
    margin = fitted(model_type).decision_function([text]) * (1 if fitted(model_type).classes_[1] == "good" else -1)
    assert explanation.words == ("The", "movie", "was", "very", "good", "!")
    assert explanation.score == pytest.approx(margin[0], abs=1e-4)
    difference = explanation.score - explanation.baseline_score
    assert abs(explanation.convergence_delta) < 0.1 * abs(difference)


COLUMNS = {
    "fit": fits,
    "predict": predicts,
    "joint pairs": joint_pairs,
    "separate pairs": separate_pairs,
    "save, load": saves_and_loads,
    "frozen": frozen,
    "layer decay": layer_decay,
    "resume": resumes,
    'precision="auto"': auto_precision,
    "explain": explains,
}


def outcome(model_type, column):
    """The cell of the table, and the sentence of a refusal, or None."""
    try:
        return COLUMNS[column](model_type) or "yes", None
    except ValueError as error:
        return "no", str(error)


# -- the page -----------------------------------------------------------------------------------------

HEAD = """# Families of encoders

Each row is a family of encoders in transformers, by the `model_type` of its config. A test fits a small encoder of each
with random weights and its kind of tokenizer, and writes this page: `python -m tests.integration.test_families`.

| column | what the test checks |
|---|---|
| fit | the encoder is trained |
| predict | probabilities are the same alone and beside a long text, to 1e-5, also after pickling |
| joint pairs, separate pairs | the same for pairs with `pair_encoding` "cross_encoder" and "bi_encoder" |
| save, load | `save_pretrained` and `from_pretrained` give the same probabilities, to the bit |
| frozen | with `freeze="encoder"` no weight of the encoder changes |
| layer decay | with `layer_decay` the embeddings change less |
| resume | a training that was interrupted ends with the same probabilities from its `checkpoint_dir`, to the bit |
| precision="auto" | what it is where the hardware has bfloat16 |
| explain | whole words, and attributions that sum to the difference of the scores |

"no" is an error, whose sentence is below the table. XLM and FlauBERT come with tokenizers that are written in Python;
with these `explain` is an error too.

"""


def page():
    """The text of docs/families.md, from the outcomes of all checks."""
    lines = [["family", "tokenizer", *COLUMNS], ["---"] * (len(COLUMNS) + 2)]
    sentences = {}
    for model_type in FAMILIES:
        outcomes = [outcome(model_type, column) for column in COLUMNS]
        lines.append([f"`{model_type}`", kind_of(model_type), *(cell for cell, _ in outcomes)])
        sentences |= {sentence: None for _, sentence in outcomes if sentence}
    sentences |= {outcome(model_type, "fit")[1]: None for model_type in NO_TEXTS}
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{HEAD}{table}\n{''.join(f'- {sentence}{chr(10)}' for sentence in sentences)}"


def rows():
    """Of each family its cells by column, as docs/families.md has them."""
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {
        cells[0].strip("`"): dict(zip(COLUMNS, cells[2:], strict=True))
        for cells in lines
        if len(cells) > 10 and "`" in cells[0]
    }


# -- the tests ----------------------------------------------------------------------------------------

ALWAYS = {"bert", "roberta", "xlm-roberta", "deberta", "deberta-v2", "albert", "modernbert", "convbert", "xlm", "ibert"}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(
    "model_type", [pytest.param(name, marks=[] if name in ALWAYS else pytest.mark.slow) for name in FAMILIES]
)
def test_a_family_does_what_its_row_says(model_type, column):
    cell, sentence = outcome(model_type, column)
    assert cell == rows()[model_type][column]
    assert sentence is None or f"\n- {sentence}\n" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_all_families_and_says_what_was_checked():
    assert list(rows()) == list(FAMILIES)
    assert len(FAMILIES) > 30
    assert PAGE.read_text(encoding="utf-8").startswith(HEAD)


@pytest.mark.parametrize("model_type", NO_TEXTS)
def test_an_encoder_of_something_else_is_refused(model_type):
    cell, sentence = outcome(model_type, "fit")
    assert cell == "no"
    assert f"\n- {sentence}\n" in PAGE.read_text(encoding="utf-8")


# -- more of single families --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folders = {}

    def folder_of(model_type):
        if model_type not in folders:
            folders[model_type] = save_family(tmp_path_factory.mktemp(model_type), model_type)
        return folders[model_type]

    return folder_of


@pytest.mark.parametrize("model_type", PADDING_LEAKS)
def test_a_vector_does_not_depend_on_its_company(checkpoint, reviews, model_type):
    vectorizer = BertVectorizer(checkpoint(model_type), device="cpu", precision="float32").fit(reviews[0])
    alone = np.concatenate([vectorizer.transform([text]) for text in reviews[0][:4]])
    np.testing.assert_allclose(vectorizer.transform([*reviews[0][:4], LONG])[:4], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", NO_BFLOAT16)
def test_auto_precision_is_float32_where_the_encoder_cannot_compute_in_bfloat16(
    checkpoint, reviews, monkeypatch, model_type
):
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: True)
    settings = FAST | {"precision": "auto"}
    classifier = BertClassifier(checkpoint(model_type), **settings).fit(*reviews)
    in_float32 = BertClassifier(checkpoint(model_type), **settings | {"precision": "float32"}).fit(*reviews)
    np.testing.assert_array_equal(classifier.predict_proba(reviews[0]), in_float32.predict_proba(reviews[0]))
    again = pickle.loads(pickle.dumps(classifier))
    for fitted in (classifier, again):
        assert fitted.net_.precision == "float32"
        assert "on cpu in float32 (the encoder cannot compute in bfloat16), " in fitted.summary_
    vectors = BertVectorizer(checkpoint(model_type), device="cpu").fit_transform(reviews[0])
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("model_type", NO_BFLOAT16)
def test_bfloat16_is_an_error_where_it_was_asked_for(checkpoint, reviews, model_type):
    classifier = BertClassifier(checkpoint(model_type), **FAST | {"precision": "bfloat16"})
    with pytest.raises(ValueError, match=rf"^A '{model_type}' encoder cannot compute in bfloat16 .*'float32'\.$"):
        classifier.fit(*reviews)


@pytest.mark.parametrize("model_type", TYPES_AMONG_WORDS)
def test_a_cross_encoder_trains_where_token_types_are_looked_up_among_the_words(checkpoint, reviews, model_type):
    pairs = pd.DataFrame({"first": reviews[0], "second": reviews[0][::-1]})
    classifier = BertClassifier(checkpoint(model_type), pair_encoding="cross_encoder", **FAST).fit(pairs, reviews[1])
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
