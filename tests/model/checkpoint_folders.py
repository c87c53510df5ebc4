"""Valid and damaged folders of checkpoints, the messages about them, and a hub without a network."""

import hashlib
import json
import logging
import os
import re
import shutil
import warnings
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import transformers
from huggingface_hub import snapshot_download, utils
from safetensors.torch import save_file
from transformers import BertForPreTraining, BertModel

from sklearn_bert._model.checkpoint import load_config, load_encoder, load_tokenizer
from sklearn_bert._model.hub import resolve_checkpoint
from tests.conftest import WORDS, make_config, make_tokenizer

CONFIG, WEIGHTS, BIN, TOKENIZER = "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json"
SHARD = "model-00002-of-00004.safetensors"
N_TOKENS = len(make_tokenizer(WORDS))
LAST_ID = N_TOKENS - 1
LIBRARIES = [logging.getLogger("transformers"), logging.getLogger("huggingface_hub")]


def load(model, **settings):
    """The encoder of a checkpoint, after its config and tokenizer were loaded, as in a fit."""
    folder = resolve_checkpoint(model)
    config = load_config(folder)
    load_tokenizer(folder, config)
    return load_encoder(folder, config, **settings)


def same_weights(module, other):
    """Whether two modules have equal state dicts."""
    pairs = zip(module.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(weight, expected) for weight, expected in pairs)


def message_pattern(sentence):
    """The pattern of a whole message; each ... in it matches part of one sentence, which another library wrote."""
    return "^" + re.escape(sentence).replace(r"\.\.\.", r"(?:(?!\. ).)+") + r"\Z"


def set_log_levels(level):
    for library in LIBRARIES:
        library.setLevel(level)


def files_below(folder):
    """Path and size of all files in a folder and its subfolders."""
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))


class Hub:
    """Replaces `snapshot_download`: copies files of a folder into the cache, and writes messages as the client does."""

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

    def model_info(self, model, *, revision, timeout, files_metadata):
        """What the hub says of its files."""
        assert timeout == 10
        if self.error:
            raise self.error
        names = sorted(path for path in self.repository.rglob("*.*") if path.is_file())
        relative = [(path.relative_to(self.repository).as_posix(), path.stat().st_size) for path in names]
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name, size=size) for name, size in relative])

    def store(self, names, revision=None):
        """Copy files into the cache, which has a file per revision and a folder per commit."""
        commit = hashlib.sha1((revision or "main").encode()).hexdigest()
        refs, snapshot = self.cache / "refs", self.cache / "snapshots" / commit
        for part in (refs, snapshot):
            part.mkdir(parents=True, exist_ok=True)
        (refs / (revision or "main")).write_text(commit)
        for name in names:
            (snapshot / name).parent.mkdir(exist_ok=True)
            shutil.copy(self.repository / name, snapshot / name)
        return snapshot

    def was_contacted(self):
        return any(call["online"] for call in self.calls)


# -- changes to a folder, each a function of the folder -------------------------------------------------


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


def as_bin_shards(folder):
    weights = BertModel.from_pretrained(folder).state_dict()
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    where = {key: names[i % 2] for i, key in enumerate(weights)}
    for name in names:
        torch.save({key: weights[key] for key in weights if where[key] == name}, folder / name)
    write("pytorch_model.bin.index.json", json.dumps({"metadata": {}, "weight_map": where}))(folder)
    remove(WEIGHTS)(folder)


def with_heads(folder):
    model = BertForPreTraining(make_config(N_TOKENS))
    model.bert = BertModel.from_pretrained(folder)
    model.save_pretrained(folder)


def with_remote_code(folder, model_type="bert"):
    """Code that the config refers to, and that creates the file 'marker' in the working directory when it runs."""
    names = {"AutoConfig": "custom.Config", "AutoModel": "custom.Model"}
    edit(CONFIG, model_type=model_type, auto_map=names)(folder)
    edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["custom.Tokenizer", None]})(folder)
    write("custom.py", f"open({os.path.abspath('marker')!r}, 'w').close()")(folder)


class MakesFolder:
    """Creates the folder 'marker' in the working directory when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.path.abspath("marker"),)


def with_code_in_pickle(folder):
    (folder / WEIGHTS).unlink()
    torch.save({"pooler.dense.bias": MakesFolder()}, folder / BIN)


LACKS = "{who} lacks {part}. Expected config.json, model.safetensors (or pytorch_model.bin) and the tokenizer's files. "
SAVE_AGAIN = "Save the checkpoint again with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."
FOLDER_LACKS = partial((LACKS + SAVE_AGAIN).format, who="The folder {folder}")
NO_ENCODER = (
    "{{folder}} holds a model of type {!r} that is no bidirectional text encoder (an encoder-decoder or causal model, "
    "for example). Choose an encoder such as 'google-bert/bert-base-uncased'."
)
NOT_BUILT_IN = (
    f"The config.json of {{folder}} describes no model that transformers {transformers.__version__} can build "
    "without remote code, which is never run: .... Choose a checkpoint of a built-in encoder such as BERT."
)
REFUSED_VALUE = (
    f"The config.json of {{folder}} has a value that transformers {transformers.__version__} refuses: .... Correct "
    "this value in config.json."
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
GOOD = {"safetensors": remove(), "bin": as_bin, "shards": as_shards, "heads": with_heads, "code": with_remote_code}
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
    "architecture of remote code": (partial(with_remote_code, model_type="custom"), ValueError, NOT_BUILT_IN),
    "config empty": (write(CONFIG, ""), OSError, BAD_CONFIG),
    "config cut": (cut(CONFIG), OSError, BAD_CONFIG),
    "config null": (write(CONFIG, "null"), ValueError, NOT_BUILT_IN),
    "labels without numbers": (edit(CONFIG, id2label={"a": "b"}), ValueError, REFUSED_VALUE),
    "size not a number": (edit(CONFIG, hidden_size="abc"), (OSError, ValueError), "The ... {folder} .... ..."),
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
    "code in a pickle": (with_code_in_pickle, OSError, BAD_WEIGHTS),
}
bad = pytest.mark.parametrize(("change", "kind", "sentence"), BAD.values(), ids=BAD)
