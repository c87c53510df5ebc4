"""Config, tokenizer and encoder of a folder; damaged folders and other architectures raise, and code never runs."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    CamembertConfig,
    FNetConfig,
    MPNetConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from sklearn_bert import BertClassifier
from sklearn_bert._model.checkpoint import (
    count_positions,
    folder_signature,
    load_config,
    load_encoder,
    load_tokenizer,
)
from sklearn_bert._model.hub import resolve_checkpoint
from tests.conftest import WORDS, make_config, make_tokenizer
from tests.model.checkpoint_folders import (
    BAD_WEIGHTS,
    GOOD,
    N_TOKENS,
    TOKEN_IDS,
    TOKENIZER,
    WEIGHTS,
    as_shards,
    bad,
    files_below,
    load,
    message_pattern,
    same_weights,
    write,
)

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.mark.parametrize("tokenizer", [TOKENIZER, "vocab.txt", "spm.model", "sentencepiece.bpe.model"])
def test_a_folder_with_any_kind_of_tokenizer_resolves_to_itself(folder, tokenizer):
    (folder / TOKENIZER).rename(folder / tokenizer)
    assert resolve_checkpoint(folder) == resolve_checkpoint(str(folder)) == folder


@bad
def test_an_unusable_folder_raises_silently_and_is_not_changed(folder, tmp_path, read_output, change, kind, sentence):
    """No output, no file in the cache or the working directory, and no marker of code that ran."""
    change(folder)
    before = files_below(tmp_path)
    read_output()
    with pytest.raises(kind, match=message_pattern(sentence.format(folder=repr(str(folder))))):
        load(folder)
    assert read_output() == ""
    assert files_below(tmp_path) == before


def test_load_tokenizer_gives_the_ids_of_the_saved_tokenizer(folder):
    text = "the plot was very lovely!"
    assert load_tokenizer(folder, make_config(N_TOKENS))(text) == make_tokenizer(WORDS)(text)


def test_a_single_token_id_beyond_the_embeddings_raises(folder):
    words = json.loads((folder / TOKENIZER).read_text())
    words["model"]["vocab"]["the"] = 500
    write(TOKENIZER, json.dumps(words))(folder)
    message = TOKEN_IDS.format(500, N_TOKENS).format(folder=repr(str(folder)))
    with pytest.raises(ValueError, match=message_pattern(message)):
        load(folder)


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_saved_weights_load_silently_and_code_next_to_them_is_not_run(folder, tiny_bert, read_output, change):
    change(folder)
    read_output()
    encoder = load(folder)
    assert read_output() == ""
    assert same_weights(encoder, BertModel.from_pretrained(tiny_bert))
    assert not Path("marker").exists()


@pytest.mark.parametrize("saved", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("settings", [{}, {"dtype": torch.float64}], ids=["default", "float64"])
def test_load_encoder_returns_float32_or_the_requested_dtype(folder, saved, settings):
    model = BertModel.from_pretrained(folder, dtype=saved)
    model.save_pretrained(folder)
    encoder, dtype = load(folder, **settings), settings.get("dtype", torch.float32)
    assert {weight.dtype for weight in encoder.parameters()} == {dtype}
    assert same_weights(encoder, model.to(dtype))


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)], ids=["same seed", "other seed"])
def test_a_missing_pooler_is_drawn_silently_from_torchs_random_state(folder, read_output, seed, same):
    BertForMaskedLM(make_config(N_TOKENS)).save_pretrained(folder)
    read_output()
    torch.manual_seed(0)
    encoder = load(folder)
    torch.manual_seed(seed)
    assert same_weights(load(folder), encoder) == same
    assert read_output() == ""


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_a_damaged_index_of_shards_raises(folder, text):
    as_shards(folder)
    write(f"{WEIGHTS}.index.json", text)(folder)
    with pytest.raises(OSError, match=message_pattern(BAD_WEIGHTS.format(folder=repr(str(folder))))):
        load(folder)


def test_a_link_without_a_target_does_not_disturb_the_signature_of_a_folder(folder):
    before = folder_signature(folder)
    (folder / "README.md").symlink_to(folder / "absent")
    assert folder_signature(folder) == before


@pytest.mark.parametrize("kind", [BertConfig, RobertaConfig, XLMRobertaConfig, CamembertConfig, MPNetConfig])
def test_count_positions_gives_the_largest_number_of_tokens_that_the_encoder_takes(kind):
    """The encoder takes a text of that many tokens, but not of one more."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = kind(vocab_size=20, max_position_embeddings=12, **sizes)
    n, encoder = count_positions(config), AutoModel.from_config(config).eval()
    assert encoder(torch.full((1, n), 5)).last_hidden_state.shape == (1, n, 16)
    with pytest.raises((IndexError, RuntimeError)):
        encoder(torch.full((1, n + 1), 5))


def test_a_needed_pooler_without_trained_weights_raises(folder):
    BertModel(make_config(N_TOKENS), add_pooling_layer=False).save_pretrained(folder)
    config = load_config(folder)
    assert load_encoder(folder, config).pooler is not None
    message = (
        f"{str(folder)!r} has no trained pooler, so its vectors would depend on untrained weights. Pass pooling='mean' "
        "or 'cls'."
    )
    with pytest.raises(ValueError, match=message_pattern(message)):
        load_encoder(folder, config, random_pooler="raise")


def test_training_a_pooler_without_trained_weights_warns_once(folder):
    BertModel(make_config(N_TOKENS), add_pooling_layer=False).save_pretrained(folder)
    message = (
        f"{str(folder)!r} has no trained pooler, so training starts with a pooler of untrained weights. Pass "
        "pooling='mean', which needs none."
    )
    settings = {"max_epochs": 2, "device": "cpu", "head_init": "random"}
    with pytest.warns(UserWarning, match=message_pattern(message)) as caught:
        BertClassifier(folder, **settings).fit(["good", "bad"] * 4, [0, 1] * 4)
    assert [warning.filename for warning in caught] == [__file__]
    BertClassifier(folder, **settings, pooling="mean").fit(["good", "bad"] * 4, [0, 1] * 4)  # warnings are errors


def test_an_encoder_without_an_attention_mask_raises(folder):
    config = FNetConfig(vocab_size=N_TOKENS, hidden_size=16, num_hidden_layers=1, intermediate_size=32)
    AutoModel.from_config(config).save_pretrained(folder)
    message = (
        "A 'fnet' encoder takes no attention mask, so padding would change its predictions. Choose an encoder with "
        "attention, such as BERT."
    )
    with pytest.raises(ValueError, match=message_pattern(message)):
        load_encoder(folder, load_config(folder))


def test_an_attention_named_in_config_json_is_not_loaded(tiny_bert, tmp_path):
    """By itself transformers would load code of this name from the hub."""
    shutil.copytree(tiny_bert, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"attn_implementation": "somebody/kernel"}))
    assert load_config(tmp_path / "model")._attn_implementation is None
