"""Everything a checkpoint can be and lack: folders, the hub and its cache, damaged files, foreign code, noise."""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from huggingface_hub import errors, snapshot_download, utils
from safetensors.torch import save_file
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    CamembertConfig,
    FNetConfig,
    MPNetConfig,
    RobertaConfig,
    XLMRobertaConfig,
)
from transformers.utils import logging as transformers_logging

from sklearn_bert._model.checkpoint import (
    count_positions,
    load_config,
    load_encoder,
    load_tokenizer,
    resolve_checkpoint,
)
from tests.conftest import WORDS, make_config, make_tokenizer

CONFIG, WEIGHTS, BIN, TOKENIZER = "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json"
SHARD = "model-00002-of-00004.safetensors"
N_TOKENS = len(make_tokenizer(WORDS))
LAST_ID = N_TOKENS - 1
LIBRARIES = [logging.getLogger("transformers"), logging.getLogger("huggingface_hub")]


def load(model, **settings):
    """The encoder of a checkpoint, whose config and tokenizer are read as for a fit."""
    folder = resolve_checkpoint(model)
    config = load_config(folder)
    load_tokenizer(folder, config)
    return load_encoder(folder, config, **settings)


def same_weights(module, other):
    pairs = zip(module.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(weight, expected) for weight, expected in pairs)


def whole(sentence):
    """Pattern of a whole message; at ... stands one line, of one sentence, in another library's words."""
    return "^" + re.escape(sentence).replace(r"\.\.\.", r"(?:(?!\. ).)+") + r"\Z"


def set_levels(level):
    for library in LIBRARIES:
        library.setLevel(level)


def files_below(folder):
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))


class Hub:
    """Stands in for the hub's client, noise included: downloads from a folder into a cache that the real one reads."""

    def __init__(self, repository, cache):
        self.repository, self.cache = repository, cache / "models--org--name"
        self.calls, self.error, self.cache_error = [], None, None

    def __call__(self, model, *, local_files_only, **wanted):
        self.calls.append({"online": not local_files_only, **wanted})
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        warnings.warn("Xet Storage is not installed.", UserWarning, stacklevel=2)
        list(utils.tqdm([1, 2], desc="Fetching 2 files"))
        error = self.cache_error if local_files_only else self.error
        if error:
            raise error
        if not local_files_only:
            names = [path.relative_to(self.repository).as_posix() for path in self.repository.rglob("*.*")]
            patterns = {name: wanted[name] for name in ("allow_patterns", "ignore_patterns")}
            self.store(utils.filter_repo_objects(names, **patterns), wanted["revision"])
        return snapshot_download(model, local_files_only=True, **wanted)

    def store(self, names, revision=None):
        """The layout of the hub's cache: a file per revision, and a folder per commit."""
        commit = hashlib.sha1((revision or "main").encode()).hexdigest()
        refs, snapshot = self.cache / "refs", self.cache / "snapshots" / commit
        for part in (refs, snapshot):
            part.mkdir(parents=True, exist_ok=True)
        (refs / (revision or "main")).write_text(commit)
        for name in names:
            shutil.copy(self.repository / name, snapshot / name)
        return snapshot

    def was_asked(self):
        return any(call["online"] for call in self.calls)


@pytest.fixture(autouse=True)
def fresh_start(tmp_path, monkeypatch):
    """Caches and working directory are empty, the settings of a process new, and looking for a server fails a test."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: pytest.fail("the network was asked"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    set_levels(logging.WARNING)
    transformers_logging.enable_progress_bar()  # the hub's too


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of the tiny BERT to change."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "checkpoint"))


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A hub with one repository, 'org/name', and nothing of it in the cache."""
    for extra in (BIN, "README.md", "tf_model.h5", "onnx/config.json", "1_Pooling/config.json"):
        (folder / extra).parent.mkdir(exist_ok=True)
        (folder / extra).write_bytes(b"not needed")
    hub = Hub(folder, tmp_path / "cache")
    monkeypatch.setattr("sklearn_bert._model.checkpoint.snapshot_download", hub)
    return hub


@pytest.fixture
def heard(capfd, monkeypatch):
    """All that a curious user reads since the last call, also from log handlers that hold an earlier stderr."""
    for handler in LIBRARIES[0].handlers + LIBRARIES[1].handlers:
        if type(handler) is logging.StreamHandler:
            monkeypatch.setattr(handler, "stream", sys.stderr)
    set_levels(logging.INFO)
    return lambda: "".join(capfd.readouterr())


# -- changes to a folder, each a function of it ---------------------------------------------------------


def remove(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:99])


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def edit(name, **changes):
    return lambda folder: (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changes))


def as_bin(folder):
    torch.save(BertModel.from_pretrained(folder).state_dict(), folder / BIN)
    (folder / WEIGHTS).unlink()


def as_shards(folder):
    model = BertModel.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="10KB")


def with_heads(folder):
    model = BertForPreTraining(make_config(N_TOKENS))
    model.bert = BertModel.from_pretrained(folder)
    model.save_pretrained(folder)


def with_homemade_code(folder, model_type="bert"):
    """Code that the config asks for, and that leaves a mark in the working directory when it is run."""
    names = {"AutoConfig": "homemade.Config", "AutoModel": "homemade.Model"}
    edit(CONFIG, model_type=model_type, auto_map=names)(folder)
    edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["homemade.Tokenizer", None]})(folder)
    write("homemade.py", f"open({os.path.abspath('marker')!r}, 'w').close()")(folder)


class Intruder:
    def __reduce__(self):
        return os.mkdir, (os.path.abspath("marker"),)


def with_intruder(folder):
    (folder / WEIGHTS).unlink()
    torch.save({"pooler.dense.bias": Intruder()}, folder / BIN)


LACKS = "{who} lacks {part}. Expected config.json, model.safetensors (or pytorch_model.bin) and the tokenizer's files. "
SAVE_AGAIN = "Save the checkpoint again with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."
FOLDER_LACKS = partial((LACKS + SAVE_AGAIN).format, who="The folder {folder}")
NO_ENCODER = (
    "{{folder}} holds a model of type {!r} that is no bidirectional text encoder (an encoder-decoder or causal model, "
    "for example). Choose an encoder such as 'google-bert/bert-base-uncased'."
)
NOT_BUILT_IN = (
    f"The config.json of {{folder}} is none that transformers {transformers.__version__} can build without "
    "remote code, which is never run: .... Choose a checkpoint of a built-in encoder such as BERT."
)
TOKEN_IDS = (
    "The tokenizer in {{folder}} gives token ids up to {}, the encoder has only {} embeddings. Use the tokenizer that "
    "the encoder was trained with."
)
NO_PADDING = "The tokenizer in {folder} has no padding token. Set tokenizer.pad_token and save it again."
BAD_CONFIG = f"The config.json of {{folder}} cannot be read: .... {SAVE_AGAIN}"
BAD_TOKENIZER = f"The tokenizer in {{folder}} cannot be read: .... {SAVE_AGAIN}"
BAD_WEIGHTS = f"The weights in {{folder}} cannot be read: .... {SAVE_AGAIN}"
MISFITS = (
    "The weights in {{folder}} are not those that its config.json describes: absent or of another shape are "
    f"{{}}, .... {SAVE_AGAIN}"
)
NOTHING_FITS = MISFITS.format("embeddings.LayerNorm.bias")
NO_LAYER_2 = MISFITS.format("encoder.layer.2.attention.output.LayerNorm.bias")
GOOD = {"safetensors": remove(), "bin": as_bin, "shards": as_shards, "heads": with_heads, "code": with_homemade_code}
BAD = {
    "no config": (remove(CONFIG), OSError, FOLDER_LACKS(part="config.json")),
    "no weights": (remove(WEIGHTS), OSError, FOLDER_LACKS(part="model weights")),
    "no shard": (lambda folder: [as_shards(folder), remove(SHARD)(folder)], OSError, FOLDER_LACKS(part=SHARD)),
    "no tokenizer": (remove(TOKENIZER), OSError, FOLDER_LACKS(part="a tokenizer")),
    "nothing": (remove(CONFIG, WEIGHTS, TOKENIZER), OSError, FOLDER_LACKS(part="config.json and ... and a tokenizer")),
    "T5": (transformers.T5Config().save_pretrained, ValueError, NO_ENCODER.format("t5")),
    "GPT-2": (transformers.GPT2Config().save_pretrained, ValueError, NO_ENCODER.format("gpt2")),
    "BERT as a decoder": (edit(CONFIG, is_decoder=True), ValueError, NO_ENCODER.format("bert")),
    "unknown architecture": (edit(CONFIG, model_type="unknown"), ValueError, NOT_BUILT_IN),
    "homemade architecture": (partial(with_homemade_code, model_type="homemade"), ValueError, NOT_BUILT_IN),
    "config empty": (write(CONFIG, ""), OSError, BAD_CONFIG),
    "config cut": (cut(CONFIG), OSError, BAD_CONFIG),
    "config null": (write(CONFIG, "null"), ValueError, NOT_BUILT_IN),
    "size a word": (edit(CONFIG, hidden_size="abc"), (OSError, ValueError), "The ... {folder} .... ..."),
    "too many tokens": (edit(CONFIG, vocab_size=LAST_ID), ValueError, TOKEN_IDS.format(LAST_ID, LAST_ID)),
    "no padding": (edit("tokenizer_config.json", pad_token=None), ValueError, NO_PADDING),
    "tokenizer empty": (write(TOKENIZER, ""), OSError, BAD_TOKENIZER),
    "tokenizer cut": (cut(TOKENIZER), OSError, BAD_TOKENIZER),
    "tokenizer without model": (write(TOKENIZER, "{}"), OSError, BAD_TOKENIZER),
    "weights empty": (write(WEIGHTS, ""), OSError, BAD_WEIGHTS),
    "weights cut": (cut(WEIGHTS), OSError, BAD_WEIGHTS),
    "weights of another size": (edit(CONFIG, hidden_size=32), OSError, NOTHING_FITS),
    "weights of fewer layers": (edit(CONFIG, num_hidden_layers=6), OSError, NO_LAYER_2),
    "other weights": (lambda folder: save_file({"a": torch.ones(1)}, folder / WEIGHTS), OSError, NOTHING_FITS),
    "intruder in a pickle": (with_intruder, OSError, BAD_WEIGHTS),
}
bad = pytest.mark.parametrize(("change", "kind", "sentence"), BAD.values(), ids=BAD)

# -- folders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", [TOKENIZER, "vocab.txt", "spm.model", "sentencepiece.bpe.model"])
def test_a_folder_is_its_own_checkpoint_with_any_kind_of_tokenizer(folder, tokenizer):
    (folder / TOKENIZER).rename(folder / tokenizer)
    assert resolve_checkpoint(folder) == resolve_checkpoint(str(folder)) == folder


@pytest.mark.parametrize("model", ["", "/no/such", "./name", "../name", "~/name", Path("org/name")], ids=repr)
def test_a_path_that_does_not_exist_is_no_hub_id(model, hub):
    sentence = (
        f"{str(model)!r} is not a folder. Expected a folder with a checkpoint's config, weights and tokenizer, "
        "or a hub id. Check the path."
    )
    with pytest.raises(OSError, match=whole(sentence)):
        resolve_checkpoint(model)
    assert not hub.calls


@bad
def test_an_unusable_folder_is_refused_in_a_sentence_and_left_alone(folder, tmp_path, heard, change, kind, sentence):
    """Silently, with no file in the cache or the working directory, and no mark of code that was run."""
    change(folder)
    before = files_below(tmp_path)
    heard()
    with pytest.raises(kind, match=whole(sentence.format(folder=repr(str(folder))))):
        load(folder)
    assert heard() == ""
    assert files_below(tmp_path) == before


# -- the hub and its cache ----------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [WEIGHTS, BIN])
@pytest.mark.parametrize("by", ["default", "branch", "commit"])
def test_a_cached_snapshot_is_found_by_its_revision_without_the_hub(hub, weights, by):
    snapshots = {revision: hub.store([CONFIG, TOKENIZER, weights], revision) for revision in (None, "v1")}
    revision = {"default": None, "branch": "v1", "commit": snapshots["v1"].name}[by]
    assert resolve_checkpoint("org/name", revision) == snapshots[revision and "v1"]
    assert not hub.was_asked()


@pytest.mark.parametrize("part", [CONFIG, WEIGHTS, TOKENIZER, SHARD])
def test_a_cached_snapshot_that_lacks_a_part_is_completed_by_the_hub(hub, part):
    if part == SHARD:
        as_shards(hub.repository)
    hub.store({path.name for path in hub.repository.glob("*.*")} - {part, BIN})
    assert (resolve_checkpoint("org/name") / part).is_file()
    assert hub.was_asked()


@pytest.mark.parametrize(("part", "asked"), [("generation_config.json", False), (WEIGHTS, True)])
def test_the_hub_is_asked_only_for_what_is_needed_of_an_incomplete_snapshot(hub, part, asked):
    """The client's list of the repository names files that a fit does without."""
    snapshot = hub.store({CONFIG, WEIGHTS, TOKENIZER} - {part})
    hub.cache_error = errors.IncompleteSnapshotError(f"1 file is missing ({part}).", snapshot_path=str(snapshot))
    assert resolve_checkpoint("org/name") == snapshot
    assert hub.was_asked() == asked


def test_what_the_hub_gave_loads_in_silence_as_the_folder_does(hub, tiny_bert, heard):
    assert same_weights(load("org/name"), load(tiny_bert))
    assert heard() == ""


def test_only_what_is_needed_is_downloaded(hub):
    """Neither .bin files beside safetensors nor other frameworks' weights, subfolders or documents."""
    snapshot = resolve_checkpoint("org/name")
    assert {path.name for path in snapshot.iterdir()} == {CONFIG, WEIGHTS, TOKENIZER, "tokenizer_config.json"}


def test_bin_files_of_the_same_revision_are_downloaded_where_there_are_no_safetensors(hub):
    remove(WEIGHTS)(hub.repository)
    assert (resolve_checkpoint("org/name", "v1") / BIN).is_file()
    assert {(call["online"], call["revision"]) for call in hub.calls} == {(False, "v1"), (True, "v1")}


def test_a_repository_without_weights_is_refused(hub):
    remove(WEIGHTS, BIN)(hub.repository)
    sentence = LACKS.format(who="The local copy of 'org/name' at revision 'v1'", part="model weights")
    cure = "Check the connection, or choose another checkpoint or revision."
    with pytest.raises(OSError, match=whole(sentence + cure)):
        resolve_checkpoint("org/name", "v1")


def refusal(kind, text):
    """An answer of the hub as its client words it."""
    response = SimpleNamespace(headers={}, request=None)
    return kind(f"404 Client Error. (Request ID: 1)\n\n{text} for url: https://hub.\nPlease log in.", response=response)


@pytest.mark.parametrize(("revision", "at"), [(None, ""), ("v1", " at revision 'v1'")], ids=["default", "v1"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.LocalEntryNotFoundError("Got: ConnectError\nPlease check your connection."), "Got: ConnectError"),
        (refusal(errors.RepositoryNotFoundError, "Not Found"), "Not Found for url: https://hub"),
        (refusal(errors.GatedRepoError, "Cannot access gated repo"), "Cannot access gated repo for url: https://hub"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (TimeoutError(), "no reason given"),
    ],
    ids=["offline", "not found", "gated", "disk full", "no reason"],
)
def test_a_failure_of_the_hub_is_told_once_and_leaves_no_file(hub, tmp_path, heard, error, reason, revision, at):
    hub.error = error
    sentence = (
        f"model='org/name'{at} is neither a folder nor complete in the local cache, and the hub did not give it: "
        f"{type(error).__name__}, {reason}. Check spelling, connection and free space, log in with 'hf auth login' if "
        "it is private, or pass the folder of a downloaded checkpoint."
    )
    before = files_below(tmp_path)
    with pytest.raises(OSError, match=whole(sentence)):
        resolve_checkpoint("org/name", revision)
    assert heard() == ""
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("model", ["a/b/c", "my model", "name.git", "a--b", "org/name/", "n" * 97])
def test_an_impossible_id_is_refused_without_the_hub(hub, model):
    sentence = (
        f"model={model!r} is neither a folder nor a valid hub id. Expected a folder with a checkpoint, or an id of the "
        "form 'name' or 'organisation/name'. Check the spelling."
    )
    with pytest.raises(OSError, match=whole(sentence)):
        resolve_checkpoint(model)
    assert not hub.was_asked()


# -- config, tokenizer, encoder -----------------------------------------------------------------------


def test_the_tokenizer_gives_the_ids_that_it_was_saved_with(folder):
    text = "the plot was very lovely!"
    assert load_tokenizer(folder, make_config(N_TOKENS))(text) == make_tokenizer(WORDS)(text)


def test_token_ids_beyond_the_embeddings_are_refused_however_few_they_are(folder):
    words = json.loads((folder / TOKENIZER).read_text())
    words["model"]["vocab"]["the"] = 500
    write(TOKENIZER, json.dumps(words))(folder)
    with pytest.raises(ValueError, match=whole(TOKEN_IDS.format(500, N_TOKENS).format(folder=repr(str(folder))))):
        load(folder)


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_what_was_saved_is_loaded_in_silence_and_code_beside_it_is_not_run(folder, tiny_bert, heard, change):
    change(folder)
    heard()
    encoder = load(folder)
    assert heard() == ""
    assert same_weights(encoder, BertModel.from_pretrained(tiny_bert))
    assert not Path("marker").exists()


@pytest.mark.parametrize("saved", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("settings", [{}, {"dtype": torch.float64}], ids=["default", "float64"])
def test_the_dtype_is_float32_or_the_one_asked_for(folder, saved, settings):
    model = BertModel.from_pretrained(folder, dtype=saved)
    model.save_pretrained(folder)
    encoder, dtype = load(folder, **settings), settings.get("dtype", torch.float32)
    assert {weight.dtype for weight in encoder.parameters()} == {dtype}
    assert same_weights(encoder, model.to(dtype))


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)], ids=["same seed", "other seed"])
def test_a_missing_pooler_is_drawn_in_silence_from_torchs_random_state(folder, heard, seed, same):
    BertForMaskedLM(make_config(N_TOKENS)).save_pretrained(folder)
    heard()
    torch.manual_seed(0)
    encoder = load(folder)
    torch.manual_seed(seed)
    assert same_weights(load(folder), encoder) == same
    assert heard() == ""


# -- silence, and settings left alone -----------------------------------------------------------------


def test_without_our_care_transformers_is_heard(folder, heard):
    """The tests of silence listen where it speaks."""
    with_heads(folder)
    BertModel.from_pretrained(folder)
    said = set(re.findall("loading configuration|Loading weights|LOAD REPORT", heard()))
    assert said == {"loading configuration", "Loading weights", "LOAD REPORT"}


def test_without_our_care_the_hub_is_heard(hub, heard):
    with pytest.warns(UserWarning, match="Xet"), pytest.raises(OSError, match="Cannot find"):
        hub("org/name", local_files_only=True, revision=None)
    assert set(re.findall("Retrying|Fetching", heard())) == {"Retrying", "Fetching"}


def test_the_real_minilm_loads_silently(minilm, heard):
    load(minilm)
    assert heard() == ""


def global_settings():
    """All that logging, warnings and progress bars keep once per process."""
    loggers = [logging.getLogger(name) for name in ("", "py.warnings", "torch")] + LIBRARIES
    groups = [utils.are_progress_bars_disabled(group) for group in (None, "group", "group.part")]
    return {
        "loggers": [(one.level, one.propagate, one.disabled, *one.handlers, *one.filters) for one in loggers],
        "warnings": (warnings.filters, [*warnings.filters], warnings.showwarning),
        "bars": (transformers_logging.is_progress_bar_enabled(), *groups),
    }


@pytest.mark.parametrize(("bars", "hub_bars", "level"), [(1, 1, 31), (1, 0, 0), (0, 1, 0), (0, 0, 32)])
@pytest.mark.parametrize("outcome", ["success", "config cut", "tokenizer cut", "weights cut", "offline", "interrupt"])
def test_global_settings_are_as_before_a_load(hub, outcome, bars, hub_bars, level):
    """Levels (0 is unset) and progress bars, of transformers, of the hub and of a group of the hub's."""
    if outcome in BAD:
        BAD[outcome][0](hub.repository)
    hub.error = {"offline": OSError(), "interrupt": KeyboardInterrupt()}.get(outcome)
    set_levels(level)
    (transformers_logging.enable_progress_bar if bars else transformers_logging.disable_progress_bar)()
    (utils.enable_progress_bars if hub_bars else utils.disable_progress_bars)()
    (utils.disable_progress_bars if hub_bars else utils.enable_progress_bars)("group.part")
    before = global_settings()
    with contextlib.suppress(OSError, ValueError, KeyboardInterrupt):
        load("org/name")
    assert global_settings() == before


def as_bin_shards(folder):
    weights = BertModel.from_pretrained(folder).state_dict()
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    where = {key: names[i % 2] for i, key in enumerate(weights)}
    for name in names:
        torch.save({key: weights[key] for key in weights if where[key] == name}, folder / name)
    write("pytorch_model.bin.index.json", json.dumps({"metadata": {}, "weight_map": where}))(folder)
    remove(WEIGHTS)(folder)


def test_bin_shards_are_downloaded_where_there_are_no_safetensors(hub):
    as_bin_shards(hub.repository)
    remove(BIN)(hub.repository)
    load("org/name")


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_a_damaged_index_of_shards_is_an_error_in_a_sentence(folder, text):
    as_shards(folder)
    write(f"{WEIGHTS}.index.json", text)(folder)
    with pytest.raises(OSError, match=r"The weights in .* cannot be read"):
        load(folder)


def test_a_text_in_place_of_a_checkpoint_is_an_error_in_a_sentence():
    with pytest.raises(OSError, match="is neither a folder nor a valid hub id"):
        resolve_checkpoint("n" * 300)


@pytest.mark.parametrize("kind", [BertConfig, RobertaConfig, XLMRobertaConfig, CamembertConfig, MPNetConfig])
def test_positions_are_counted_from_where_an_encoder_begins(kind):
    """A text of as many tokens passes, one more has no place."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = kind(vocab_size=20, max_position_embeddings=12, **sizes)
    n, encoder = count_positions(config), AutoModel.from_config(config).eval()
    assert encoder(torch.full((1, n), 5)).last_hidden_state.shape == (1, n, 16)
    with pytest.raises((IndexError, RuntimeError)):
        encoder(torch.full((1, n + 1), 5))


def test_a_pooler_that_is_needed_must_be_trained(folder):
    BertModel(make_config(N_TOKENS), add_pooling_layer=False).save_pretrained(folder)
    config = load_config(folder)
    assert load_encoder(folder, config).pooler is not None
    message = (
        f"{str(folder)!r} holds no trained pooler, so its vectors would be of random weights. Pass pooling='mean' or "
        "'cls'."
    )
    with pytest.raises(ValueError, match=whole(message)):
        load_encoder(folder, config, needs_pooler=True)


def test_an_encoder_that_cannot_ignore_padding_is_refused(folder):
    config = FNetConfig(vocab_size=N_TOKENS, hidden_size=16, num_hidden_layers=1, intermediate_size=32)
    AutoModel.from_config(config).save_pretrained(folder)
    with pytest.raises(
        ValueError, match=re.escape("A 'fnet' encoder takes no attention mask, so padding would change")
    ):
        load_encoder(folder, load_config(folder))


def test_an_attention_that_the_config_names_is_not_fetched(tiny_bert, tmp_path):
    """transformers would load such a name from the hub, as code."""
    shutil.copytree(tiny_bert, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"attn_implementation": "somebody/kernel"}))
    assert load_config(tmp_path / "model")._attn_implementation is None
