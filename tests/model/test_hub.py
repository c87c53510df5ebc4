"""Model ids are found in the cache or downloaded from the hub; a failed download raises."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import errors

from sklearn_bert._model.hub import resolve_checkpoint
from tests.helpers import exactly
from tests.model.checkpoint_folders import (
    BIN,
    CONFIG,
    LACKS,
    SHARD,
    TOKENIZER,
    WEIGHTS,
    as_bin_shards,
    as_shards,
    files_below,
    load,
    message_pattern,
    remove,
    same_weights,
)

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.mark.parametrize("model", ["", "/no/such", "./name", "../name", "~/name", Path("org/name")], ids=repr)
def test_a_path_that_does_not_exist_raises_without_asking_the_hub(model, hub):
    sentence = (
        f"{str(model)!r} is not a folder. Expected a folder with a checkpoint's config, weights and tokenizer, "
        "or a model id of the hub. Check the path."
    )
    with pytest.raises(OSError, match=message_pattern(sentence)):
        resolve_checkpoint(model)
    assert not hub.calls


@pytest.mark.parametrize("weights", [WEIGHTS, BIN])
@pytest.mark.parametrize("by", ["default", "branch", "commit"])
def test_a_cached_snapshot_is_found_by_its_revision_without_the_hub(hub, weights, by):
    snapshots = {revision: hub.store([CONFIG, TOKENIZER, weights], revision) for revision in (None, "v1")}
    revision = {"default": None, "branch": "v1", "commit": snapshots["v1"].name}[by]
    assert resolve_checkpoint("org/name", revision) == snapshots[revision and "v1"]
    assert not hub.was_contacted()


@pytest.mark.parametrize("part", [CONFIG, WEIGHTS, TOKENIZER, SHARD])
def test_a_cached_snapshot_that_lacks_a_part_is_completed_from_the_hub(hub, part):
    if part == SHARD:
        as_shards(hub.repository)
    hub.store({path.name for path in hub.repository.glob("*.*")} - {part, BIN})
    assert (resolve_checkpoint("org/name") / part).is_file()
    assert hub.was_contacted()


@pytest.mark.parametrize(("part", "asked"), [("generation_config.json", False), (WEIGHTS, True)])
def test_an_incomplete_snapshot_is_downloaded_only_if_a_needed_file_is_missing(hub, part, asked):
    """The client's list of the repository also names files that a fit does not need."""
    snapshot = hub.store({CONFIG, WEIGHTS, TOKENIZER} - {part})
    if hasattr(errors, "IncompleteSnapshotError"):  # earlier clients give the folder, complete or not
        hub.cache_error = errors.IncompleteSnapshotError(f"1 file is missing ({part}).", snapshot_path=str(snapshot))
    assert resolve_checkpoint("org/name") == snapshot
    assert hub.was_contacted() == asked


def test_a_downloaded_checkpoint_loads_silently_with_the_weights_of_the_folder(hub, tiny_bert, read_output):
    assert same_weights(load("org/name"), load(tiny_bert))
    assert read_output() == ""


def test_only_needed_files_are_downloaded(hub):
    """No .bin files next to safetensors, no weights of other frameworks, no subfolders, no documents."""
    snapshot = resolve_checkpoint("org/name")
    assert {path.name for path in snapshot.iterdir()} == {CONFIG, WEIGHTS, TOKENIZER, "tokenizer_config.json"}


def test_bin_files_of_the_same_revision_are_downloaded_if_there_are_no_safetensors(hub):
    remove(WEIGHTS)(hub.repository)
    assert (resolve_checkpoint("org/name", "v1") / BIN).is_file()
    assert {(call["online"], call["revision"]) for call in hub.calls} == {(False, "v1"), (True, "v1")}


def test_a_repository_without_weights_raises(hub):
    remove(WEIGHTS, BIN)(hub.repository)
    sentence = LACKS.format(who="The local copy of 'org/name' at revision 'v1'", part="model weights")
    cure = "Check the connection, or choose another checkpoint or revision."
    with pytest.raises(OSError, match=message_pattern(sentence + cure)):
        resolve_checkpoint("org/name", "v1")


def hub_error(kind, text):
    """An error as the client of the hub raises it."""
    response = SimpleNamespace(headers={}, request=None)
    return kind(f"404 Client Error. (Request ID: 1)\n\n{text} for url: https://hub.\nPlease log in.", response=response)


def httpx_error(name):
    """An error of the hub's client whose cause is one of its HTTP library, of which each version has its own."""
    error = RuntimeError("no answer")
    error.__cause__ = type(name, (Exception,), {})()
    return error


@pytest.mark.parametrize(("revision", "at"), [(None, ""), ("v1", " at revision 'v1'")], ids=["default", "v1"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            errors.LocalEntryNotFoundError("Got: ConnectError\nPlease check your connection."),
            "no connection to the hub (LocalEntryNotFoundError, Got: ConnectError)",
        ),
        (
            hub_error(errors.RepositoryNotFoundError, "Not Found"),
            "RepositoryNotFoundError, Not Found for url: https://hub",
        ),
        (
            hub_error(errors.GatedRepoError, "Cannot access gated repo"),
            "GatedRepoError, Cannot access gated repo for url: https://hub",
        ),
        (OSError(28, "No space left on device"), "OSError, [Errno 28] No space left on device"),
        (TimeoutError(), "no connection to the hub (TimeoutError, no reason given)"),
        (httpx_error("ReadTimeout"), "no connection to the hub (RuntimeError, no answer)"),
        (
            ValueError("Wrong field 'a':\n    TypeError: Got 1. Expected 2."),
            "ValueError, Wrong field 'a': TypeError: Got 1",
        ),
    ],
    ids=["offline", "not found", "gated", "disk full", "no answer", "wrapped", "two lines"],
)
def test_a_failed_download_raises_silently_and_leaves_no_file(hub, tmp_path, read_output, error, reason, revision, at):
    hub.error = error
    sentence = (
        f"model='org/name'{at} is neither a folder nor complete in the local cache, and cannot be downloaded: "
        f"{reason}. Check spelling, connection and free space, log in with 'hf auth login' if it is private, or pass "
        "the folder of a downloaded checkpoint."
    )
    before = files_below(tmp_path)
    with pytest.raises(OSError, match=message_pattern(sentence)) as raised:
        resolve_checkpoint("org/name", revision)
    assert raised.value.__suppress_context__  # or a notebook shows hundreds of lines of the hub's client
    assert read_output() == ""
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("model", ["a/b/c", "my model", "name.git", "a--b", "org/name/", "n" * 97])
def test_an_invalid_id_raises_without_asking_the_hub(hub, model):
    sentence = (
        f"model={model!r} is neither a folder nor a valid model id. Expected a folder with a checkpoint, or an id of "
        "the form 'name' or 'organisation/name'. Check the spelling."
    )
    with pytest.raises(OSError, match=message_pattern(sentence)):
        resolve_checkpoint(model)
    assert not hub.was_contacted()


def test_bin_shards_are_downloaded_if_there_are_no_safetensors(hub):
    as_bin_shards(hub.repository)
    remove(BIN)(hub.repository)
    load("org/name")


def test_a_long_text_as_model_raises():
    with pytest.raises(OSError, match="is neither a folder nor a valid model id"):
        resolve_checkpoint("n" * 300)


def test_a_hub_that_never_answers_is_given_up_with_the_usual_error(tmp_path):
    """A real server that accepts connections, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = (
            "import sys; from sklearn_bert._model import hub; hub._SECONDS_TO_ANSWER = 0.5\n"
            "try: hub.resolve_checkpoint('org/name')\n"
            "except OSError as error: print(error)"
        )
        environment = os.environ | {"HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}"}
        environment |= {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=240, check=True
        )
    assert "cannot be downloaded: no connection to the hub (ReadTimeout" in done.stdout


@pytest.mark.parametrize(("verbose", "shown"), [(0, False), (1, True)])
def test_a_download_shows_its_size_if_asked_for(hub, read_output, verbose, shown):
    resolve_checkpoint("org/name", verbose=verbose)
    line = "org/name: 0 MB to download, less what the cache already has"
    assert (line in read_output()) == shown


def test_an_adapter_is_refused_with_the_way_to_a_whole_checkpoint(folder):
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    sentence = (
        f"The folder {str(folder)!r} holds an adapter of PEFT, not a whole checkpoint: it lacks model weights. Merge "
        "it into its model first, with model.merge_and_unload().save_pretrained(folder) and "
        "tokenizer.save_pretrained(folder)."
    )
    with pytest.raises(OSError, match=exactly(sentence)):
        resolve_checkpoint(folder)


def test_a_path_may_begin_with_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert resolve_checkpoint(f"~/{folder.name}") == folder
