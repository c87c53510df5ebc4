"""Everything a checkpoint can be and lack: folders, the hub and its cache, damaged files, foreign code, noise."""

import contextlib
import errno
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
from transformers import (
    BartConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    DistilBertConfig,
    GPT2Config,
    T5Config,
)
from transformers.utils import logging as transformers_logging

from sklearn_bert._checkpoint import load_config, load_encoder, load_tokenizer, resolve_checkpoint
from tests.conftest import WORDS, make_config, make_tokenizer

CONFIG, WEIGHTS, BIN, TOKENIZER = "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json"
N_TOKENS = len(make_tokenizer(WORDS))


def load(model):
    """All of a checkpoint, as a fit loads it."""
    folder = resolve_checkpoint(model)
    config = load_config(folder)
    return load_tokenizer(folder, config), load_encoder(folder, config)


def encoder_of(folder, **settings):
    return load_encoder(folder, load_config(folder), **settings)


def same_weights(module, other):
    pairs = zip(module.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(weight, expected) for weight, expected in pairs)


def whole(sentence):
    """Pattern of a whole message; at ... stands a reason in another library's words."""
    return "(?s)^" + re.escape(sentence).replace(r"\.\.\.", ".+") + r"\Z"


def files_below(folder):
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))


class Hub:
    """Stands in for the hub's client, noise included: downloads from a folder into a cache that the real one reads."""

    def __init__(self, repository, cache):
        self.repository, self.cache = repository, cache / "models--org--name"
        self.calls, self.error = [], None

    def __call__(self, model, *, local_files_only, **wanted):
        self.calls.append({"online": not local_files_only, **wanted})
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        warnings.warn("Xet Storage is not installed.", UserWarning, stacklevel=2)
        list(utils.tqdm([1, 2], desc="Fetching 2 files"))
        if not local_files_only:
            if self.error:
                raise self.error
            names = [path.relative_to(self.repository).as_posix() for path in self.repository.rglob("*.*")]
            patterns = {name: wanted[name] for name in ("allow_patterns", "ignore_patterns")}
            self.store(utils.filter_repo_objects(names, **patterns), wanted["revision"])
        return snapshot_download(model, local_files_only=True, **wanted)

    def store(self, names, revision=None):
        """The layout of the hub's cache: a file per revision, blobs, and links to them per commit."""
        commit = hashlib.sha1((revision or "main").encode()).hexdigest()
        refs, blobs, snapshot = self.cache / "refs", self.cache / "blobs", self.cache / "snapshots" / commit
        for part in (refs, blobs, snapshot):
            part.mkdir(parents=True, exist_ok=True)
        (refs / (revision or "main")).write_text(commit)
        for name in names:
            blob = blobs / hashlib.sha1((self.repository / name).read_bytes()).hexdigest()
            shutil.copy(self.repository / name, blob)
            (snapshot / name).unlink(missing_ok=True)
            (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
        return snapshot

    def was_asked(self):
        return any(call["online"] for call in self.calls)


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch):
    """The real client fails a test at once if it looks for a server; caches and working directory start empty."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: pytest.fail("the network was asked"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


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
    monkeypatch.setattr("sklearn_bert._checkpoint.snapshot_download", hub)
    return hub


@pytest.fixture
def heard(capfd, monkeypatch):
    """All that was printed since the last call, also by log handlers that hold an earlier stderr."""
    for name in ("transformers", "huggingface_hub"):
        for handler in logging.getLogger(name).handlers:
            if type(handler) is logging.StreamHandler:
                monkeypatch.setattr(handler, "stream", sys.stderr)
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


def without_pooler(folder):
    BertForMaskedLM(make_config(N_TOKENS)).save_pretrained(folder)


def without_padding(folder):
    tokenizer = make_tokenizer(WORDS)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)


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


LACKS = (
    "{who} lacks {parts}. Expected config.json, model.safetensors (or pytorch_model.bin) and the tokenizer's files. "
    "Save both parts there: model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."
)
NO_ENCODER = (
    "{{folder}} holds a model of type {!r}, an encoder-decoder or causal model. Expected a bidirectional encoder such "
    "as BERT. Choose an encoder checkpoint, for example 'google-bert/bert-base-uncased'."
)
NOT_BUILT_IN = (
    f"The config.json of {{folder}} names no architecture that transformers {transformers.__version__} has built in, "
    "and remote code is never run. Choose a checkpoint of a built-in encoder such as BERT."
)
TOO_MANY_TOKENS = (
    f"The tokenizer in {{folder}} has {N_TOKENS} tokens, the encoder only {N_TOKENS - 1} embeddings. Use the tokenizer "
    "that the encoder was trained with."
)
NO_PADDING = "The tokenizer in {folder} has no padding token. Set tokenizer.pad_token and save it again."
BAD_TOKENIZER = (
    "The tokenizer in {folder} cannot be read: .... Expected the files that tokenizer.save_pretrained writes. Save or "
    "download the checkpoint again."
)
BAD_WEIGHTS = (
    "The weights in {folder} cannot be read: .... Expected model.safetensors, or pytorch_model.bin with tensors only, "
    "that fit config.json. Save or download the checkpoint again."
)
BAD_CONFIG = "The config.json of {folder} ..."
GOOD = {"safetensors": remove(), "bin": as_bin, "shards": as_shards, "heads": with_heads, "code": with_homemade_code}
BAD = {
    "no config": (remove(CONFIG), OSError, LACKS.format(who="The folder {folder}", parts="config.json")),
    "no weights": (remove(WEIGHTS), OSError, LACKS.format(who="The folder {folder}", parts="model weights")),
    "no tokenizer": (remove(TOKENIZER), OSError, LACKS.format(who="The folder {folder}", parts="a tokenizer")),
    "T5": (T5Config().save_pretrained, ValueError, NO_ENCODER.format("t5")),
    "BART": (BartConfig().save_pretrained, ValueError, NO_ENCODER.format("bart")),
    "GPT-2": (GPT2Config().save_pretrained, ValueError, NO_ENCODER.format("gpt2")),
    "BERT as a decoder": (edit(CONFIG, is_decoder=True), ValueError, NO_ENCODER.format("bert")),
    "unknown architecture": (edit(CONFIG, model_type="unknown"), ValueError, NOT_BUILT_IN),
    "homemade architecture": (partial(with_homemade_code, model_type="homemade"), ValueError, NOT_BUILT_IN),
    "config empty": (write(CONFIG, ""), ValueError, BAD_CONFIG),
    "config cut": (cut(CONFIG), ValueError, BAD_CONFIG),
    "config a list": (write(CONFIG, "[]"), ValueError, BAD_CONFIG),
    "too many tokens": (edit(CONFIG, vocab_size=N_TOKENS - 1), ValueError, TOO_MANY_TOKENS),
    "no padding": (without_padding, ValueError, NO_PADDING),
    "tokenizer empty": (write(TOKENIZER, ""), OSError, BAD_TOKENIZER),
    "tokenizer cut": (cut(TOKENIZER), OSError, BAD_TOKENIZER),
    "tokenizer without model": (write(TOKENIZER, "{}"), OSError, BAD_TOKENIZER),
    "weights empty": (write(WEIGHTS, ""), OSError, BAD_WEIGHTS),
    "weights cut": (cut(WEIGHTS), OSError, BAD_WEIGHTS),
    "weights of another size": (edit(CONFIG, hidden_size=32), OSError, BAD_WEIGHTS),
    "intruder in a pickle": (with_intruder, OSError, BAD_WEIGHTS),
}
bad = pytest.mark.parametrize(("change", "kind", "sentence"), BAD.values(), ids=BAD)

# -- folders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_its_own_checkpoint(folder, kind):
    assert resolve_checkpoint(kind(folder)) == folder


@pytest.mark.parametrize("model", ["/no/such", "./name", "../name", "~/name", Path("org/name"), Path("/no")], ids=repr)
def test_a_path_that_does_not_exist_is_no_hub_id(model, hub):
    sentence = (
        f"model={str(model)!r} is not a folder. Expected a folder with a checkpoint's config, weights and tokenizer, "
        "or a hub id. Check the path."
    )
    with pytest.raises(OSError, match=whole(sentence)):
        resolve_checkpoint(model)
    assert not hub.calls


@bad
def test_a_folder_that_cannot_be_used_is_refused_in_a_sentence(folder, change, kind, sentence):
    change(folder)
    with pytest.raises(kind, match=whole(sentence.format(folder=repr(str(folder))))):
        load(folder)


@bad
def test_a_refused_folder_leaves_every_file_as_it_was(folder, tmp_path, change, kind, sentence):
    """No folder in the cache or the working directory, and no mark of code that was run."""
    change(folder)
    before = files_below(tmp_path)
    with pytest.raises(kind):
        load(str(folder))
    assert files_below(tmp_path) == before


def test_code_beside_a_built_in_architecture_is_not_run(folder):
    with_homemade_code(folder)
    load(folder)
    assert not Path("marker").exists()


# -- the hub and its cache ----------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [WEIGHTS, BIN])
@pytest.mark.parametrize("by", ["default", "branch", "commit"])
def test_a_cached_snapshot_is_found_by_its_revision_without_the_hub(hub, weights, by):
    snapshots = {revision: hub.store([CONFIG, TOKENIZER, weights], revision) for revision in (None, "v1")}
    revision = {"default": None, "branch": "v1", "commit": snapshots["v1"].name}[by]
    assert resolve_checkpoint("org/name", revision) == snapshots[revision and "v1"]
    assert not hub.was_asked()


@pytest.mark.parametrize("part", [CONFIG, WEIGHTS, TOKENIZER])
def test_a_cached_snapshot_that_lacks_a_part_is_completed_by_the_hub(hub, part):
    hub.store({CONFIG, WEIGHTS, TOKENIZER} - {part})
    assert (resolve_checkpoint("org/name") / part).is_file()
    assert hub.was_asked()


def test_what_the_hub_gave_loads_as_the_folder_does(hub, tiny_bert):
    assert same_weights(load("org/name")[1], encoder_of(tiny_bert))


def test_only_what_is_needed_is_downloaded(hub):
    """Neither .bin files beside safetensors nor other frameworks' weights, subfolders or documents."""
    snapshot = resolve_checkpoint("org/name")
    assert {path.name for path in snapshot.iterdir()} == {CONFIG, WEIGHTS, TOKENIZER, "tokenizer_config.json"}


def test_bin_files_are_downloaded_where_there_are_no_safetensors(hub):
    remove(WEIGHTS)(hub.repository)
    assert (resolve_checkpoint("org/name") / BIN).is_file()


def test_the_revision_reaches_every_call_of_the_client(hub):
    remove(WEIGHTS)(hub.repository)
    resolve_checkpoint("org/name", "v1")
    assert {(call["online"], call["revision"]) for call in hub.calls} == {(False, "v1"), (True, "v1")}


def test_a_repository_without_weights_is_refused(hub):
    remove(WEIGHTS, BIN)(hub.repository)
    with pytest.raises(OSError, match=whole(LACKS.format(who="The hub's 'org/name'", parts="model weights"))):
        resolve_checkpoint("org/name")


def hub_error(kind, status, text):
    response = SimpleNamespace(headers={}, request=None)
    return kind(f"{status} Client Error. (Request ID: 1)\n\n{text} for url: https://...", response=response)


@pytest.mark.parametrize(("revision", "at"), [(None, ""), ("v1", " at revision 'v1'")], ids=["default", "v1"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.LocalEntryNotFoundError("Got: ConnectError\nPlease check your connection."), "Got: ConnectError"),
        (hub_error(errors.RepositoryNotFoundError, 404, "Not Found"), "404 Client Error. (Request ID: 1)"),
        (hub_error(errors.GatedRepoError, 403, "Gated"), "403 Client Error. (Request ID: 1)"),
        (hub_error(errors.RevisionNotFoundError, 404, "Not Found"), "404 Client Error. (Request ID: 1)"),
        (OSError(errno.ENOSPC, "No space left on device"), f"[Errno {errno.ENOSPC}] No space left on device"),
        (TimeoutError(), "no message"),
    ],
    ids=["offline", "no repository", "gated", "no revision", "disk full", "no message"],
)
def test_a_failure_of_the_hub_is_told_with_its_reason_and_leaves_no_file(hub, tmp_path, error, reason, revision, at):
    hub.error = error
    sentence = (
        f"model='org/name'{at} is neither a folder nor in the local cache, and the hub did not give it "
        f"({type(error).__name__}: {reason}). Check the spelling and the connection, log in with 'hf auth login' if it "
        "is private, or pass the folder of a downloaded checkpoint."
    )
    before = files_below(tmp_path)
    with pytest.raises(OSError, match=whole(sentence)):
        resolve_checkpoint("org/name", revision)
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


@pytest.mark.parametrize("probability", [None, 0.0, 0.3])
@pytest.mark.parametrize(
    ("config", "parameter", "name", "other"),
    [
        (make_config(9), "dropout", "hidden_dropout_prob", "attention_probs_dropout_prob"),
        (make_config(9), "attention_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob"),
        (DistilBertConfig(), "dropout", "dropout", "attention_dropout"),
        (DistilBertConfig(), "attention_dropout", "attention_dropout", "dropout"),
    ],
    ids=["BERT-dropout", "BERT-attention_dropout", "DistilBERT-dropout", "DistilBERT-attention_dropout"],
)
def test_a_dropout_replaces_the_checkpoints_and_none_leaves_it(tmp_path, config, parameter, name, other, probability):
    config.save_pretrained(tmp_path)
    loaded = load_config(tmp_path, **{parameter: probability})
    assert getattr(loaded, name) == (getattr(config, name) if probability is None else probability)
    assert getattr(loaded, other) == getattr(config, other)


def test_the_tokenizer_gives_the_ids_that_it_was_saved_with(folder):
    text = "the plot was very lovely!"
    assert load_tokenizer(folder, make_config(N_TOKENS))(text) == make_tokenizer(WORDS)(text)


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_the_weights_are_those_that_were_saved(folder, tiny_bert, change):
    change(folder)
    assert same_weights(load(folder)[1], BertModel.from_pretrained(tiny_bert))


@pytest.mark.parametrize("saved", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("settings", [{}, {"dtype": torch.float64}], ids=["default", "float64"])
def test_the_dtype_is_float32_or_the_one_asked_for(folder, saved, settings):
    model = BertModel.from_pretrained(folder, dtype=saved)
    model.save_pretrained(folder)
    encoder, dtype = encoder_of(folder, **settings), settings.get("dtype", torch.float32)
    assert {weight.dtype for weight in encoder.parameters()} == {dtype}
    assert same_weights(encoder, model.to(dtype))


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)], ids=["same seed", "other seed"])
def test_a_missing_pooler_is_drawn_from_torchs_random_state(folder, seed, same):
    without_pooler(folder)
    torch.manual_seed(0)
    encoder = encoder_of(folder)
    torch.manual_seed(seed)
    assert same_weights(encoder_of(folder), encoder) == same


# -- silence, and settings left alone -----------------------------------------------------------------


def test_without_our_care_transformers_is_heard(folder, heard):
    """The next tests listen where it speaks."""
    with_heads(folder)
    BertModel.from_pretrained(folder)
    assert set(re.findall("Loading weights|LOAD REPORT", heard())) == {"Loading weights", "LOAD REPORT"}


def test_without_our_care_the_hub_is_heard(hub, heard):
    with pytest.warns(UserWarning, match="Xet"), pytest.raises(OSError, match="Cannot find"):
        hub("org/name", local_files_only=True, revision=None)
    assert set(re.findall("Retrying|Fetching", heard())) == {"Retrying", "Fetching"}


@pytest.mark.parametrize("change", [*GOOD.values(), without_pooler], ids=[*GOOD, "no pooler"])
def test_loading_prints_nothing(folder, heard, change):
    change(folder)
    heard()
    load(folder)
    assert heard() == ""


@bad
def test_refusing_a_folder_prints_nothing(folder, heard, change, kind, sentence):
    change(folder)
    heard()
    with pytest.raises(kind):
        load(folder)
    assert heard() == ""


def test_the_real_minilm_loads_silently(minilm, heard):
    load(minilm)
    assert heard() == ""


@pytest.mark.parametrize("error", [None, OSError("out of reach")], ids=["success", "failure"])
def test_the_hubs_client_prints_nothing(hub, heard, error):
    hub.error = error
    with contextlib.suppress(OSError):
        load("org/name")
    assert heard() == ""


def global_settings():
    """All that logging, warnings and progress bars keep once per process."""
    loggers = [logging.getLogger(name) for name in ("", "transformers", "huggingface_hub", "py.warnings", "torch")]
    return {
        "loggers": [(one.level, one.propagate, one.disabled, *one.handlers, *one.filters) for one in loggers],
        "warnings": (warnings.filters, [*warnings.filters], warnings.showwarning),
        "verbosity": transformers_logging.get_verbosity(),
        "bars": (transformers_logging.is_progress_bar_enabled(), utils.are_progress_bars_disabled()),
    }


@pytest.fixture(params=[(True, True), (True, False), (False, True), (False, False)], ids="bars {0[0]} {0[1]}".format)
def users_settings(request, monkeypatch):
    """Levels and progress bars, of transformers and of the hub, as a user may have set them."""
    bars, hub_bars = request.param
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", False)
    transformers_logging.set_verbosity(31)
    utils.logging.set_verbosity(32)
    (transformers_logging.enable_progress_bar if bars else transformers_logging.disable_progress_bar)()
    (utils.enable_progress_bars if hub_bars else utils.disable_progress_bars)()
    yield
    transformers_logging.set_verbosity_warning()
    utils.logging.set_verbosity_warning()
    transformers_logging.enable_progress_bar()  # the hub's too


@pytest.mark.parametrize("outcome", ["success", "config cut", "tokenizer cut", "weights cut", "offline", "interrupt"])
def test_global_settings_are_as_before_a_load(hub, users_settings, outcome):
    if outcome in BAD:
        BAD[outcome][0](hub.repository)
    hub.error = {"offline": OSError(), "interrupt": KeyboardInterrupt()}.get(outcome)
    before = global_settings()
    with contextlib.suppress(OSError, ValueError, KeyboardInterrupt):
        load("org/name")
    assert global_settings() == before
