"""How a notebook shows an estimator: with links to the documentation, and with large attributes shortened."""

from dataclasses import is_dataclass

import numpy as np
from torch import nn
from transformers import PreTrainedTokenizerBase

from .._training.inference_net import InferenceNet

DOCUMENTATION = ""  # the address of the published pages, without a slash at its end; "" for no links


class HtmlViewMixin:
    """The hooks of scikit-learn's HTML view of an estimator."""

    _doc_link_module = "sklearn_bert"  # a subclass in another package has no page here
    _doc_link_template = DOCUMENTATION and f"{DOCUMENTATION}/api/sklearn_bert.{{estimator_name}}.html"

    def _get_fitted_attr_html(self, doc_link=""):
        attributes = super()._get_fitted_attr_html(doc_link)
        for attribute in attributes.values():
            shown = _in_short(attribute["value"])
            if shown is not None:
                # scikit-learn cuts a str after 9 characters and other objects after 30, but no element of an array.
                attribute["value"] = np.array(_Verbatim(shown), dtype=object)
        return attributes


class _Verbatim:
    """An object with this text as its representation."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def _in_short(value):
    """The text to show for an attribute; None to show it as scikit-learn does."""
    if isinstance(value, InferenceNet):
        return f"on {value.device} in {value.precision}"
    if isinstance(value, nn.Module):
        return f"{sum(p.numel() for p in value.parameters()):,} parameters"
    if isinstance(value, PreTrainedTokenizerBase):
        return f"{len(value):,} tokens"
    if isinstance(value, str):
        return value
    return repr(value) if is_dataclass(value) else None
