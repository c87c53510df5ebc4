"""Loading writes no messages, shows no progress bars and leaves the global settings as they were."""

import contextlib
import logging
import re
import warnings

import pytest
from huggingface_hub import utils
from transformers import BertModel
from transformers.utils import logging as transformers_logging

from tests.model.checkpoint_folders import BAD, LIBRARIES, load, set_log_levels, with_heads

pytestmark = pytest.mark.usefixtures("no_network")


def test_transformers_by_itself_writes_messages(folder, read_output):
    """So the tests that expect no output look where messages appear."""
    with_heads(folder)
    BertModel.from_pretrained(folder)
    found = set(re.findall("loading configuration|Loading weights|LOAD REPORT", read_output()))
    assert found == {"loading configuration", "Loading weights", "LOAD REPORT"}


def test_the_client_of_the_hub_by_itself_writes_messages(hub, read_output):
    with pytest.warns(UserWarning, match="Xet"), pytest.raises(OSError, match="Cannot find"):
        hub("org/name", local_files_only=True, revision=None)
    assert set(re.findall("Retrying|Fetching", read_output())) == {"Retrying", "Fetching"}


def test_minilm_loads_silently(minilm, read_output):
    load(minilm)
    assert read_output() == ""


def global_settings():
    """The settings of logging, warnings and progress bars that exist once per process."""
    loggers = [logging.getLogger(name) for name in ("", "py.warnings", "torch")] + LIBRARIES
    groups = [utils.are_progress_bars_disabled(group) for group in (None, "group", "group.part")]
    return {
        "loggers": [(one.level, one.propagate, one.disabled, *one.handlers, *one.filters) for one in loggers],
        "warnings": (warnings.filters, [*warnings.filters], warnings.showwarning),
        "bars": (transformers_logging.is_progress_bar_enabled(), *groups),
    }


@pytest.mark.parametrize(("bars", "hub_bars", "level"), [(1, 1, 31), (1, 0, 0), (0, 1, 0), (0, 0, 32)])
@pytest.mark.parametrize("outcome", ["success", "config cut", "tokenizer cut", "weights cut", "offline", "interrupt"])
def test_a_load_restores_the_global_settings(hub, outcome, bars, hub_bars, level):
    """Log levels (0 is unset) and progress bars of transformers, of the hub and of one group of the hub."""
    if outcome in BAD:
        BAD[outcome][0](hub.repository)
    hub.error = {"offline": OSError(), "interrupt": KeyboardInterrupt()}.get(outcome)
    set_log_levels(level)
    (transformers_logging.enable_progress_bar if bars else transformers_logging.disable_progress_bar)()
    (utils.enable_progress_bars if hub_bars else utils.disable_progress_bars)()
    (utils.disable_progress_bars if hub_bars else utils.enable_progress_bars)("group.part")
    before = global_settings()
    with contextlib.suppress(OSError, ValueError, KeyboardInterrupt):
        load("org/name")
    assert global_settings() == before
