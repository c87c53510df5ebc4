"""The inputs of the last layers are those of the thread's own call, and nothing of them is kept afterwards."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest
import torch

from sklearn_bert import BertModule
from sklearn_bert._model.layer_inputs import keep_input, layer_inputs, watch_last_layers
from sklearn_bert._model.layers import gradient_checkpointing, split_into_layers
from sklearn_bert._model.pooled_encoder import PooledEncoder
from sklearn_bert._parameters import _ALIKE_LAYERS
from tests.helpers import exactly
from tests.model.families import config_of
from tests.model.helpers import IDS, MASK, bert

# transformers 5.0 compiles parts of DeBERTa when they are first imported, by what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
BELOW = "mean_last_three"


def module_of(model_type):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertModule(config_of(model_type), pooling=BELOW).eval()


@pytest.mark.parametrize("model_type", sorted(_ALIKE_LAYERS))
def test_of_each_family_the_inputs_are_the_outputs_of_the_layers_below(model_type):
    module = module_of(model_type)
    with layer_inputs() as inputs, torch.inference_mode():
        states = module.bert(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
    torch.testing.assert_close(inputs, list(states[-3:-1]))


def test_threads_get_the_inputs_of_their_own_calls():
    module = bert(pooling=BELOW)
    with torch.inference_mode():
        expected = [module.features(row[None]) for row in IDS]

    def features(i):
        with torch.inference_mode():
            return module.features(IDS[i % len(IDS)][None])

    with ThreadPoolExecutor(4) as pool:
        for i, found in enumerate(pool.map(features, range(200))):
            assert torch.equal(found, expected[i % len(IDS)])


def test_nothing_is_kept_after_a_call_or_an_error():
    module = bert(pooling=BELOW)
    seen = []
    last = split_into_layers(module.bert)[1][-1]
    last.register_forward_pre_hook(lambda layer, args: seen.append(weakref.ref(args[0])))
    module.features(IDS)
    last.register_forward_hook(lambda layer, args, output: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        module.features(IDS)
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def test_one_hook_of_a_layer_is_enough_for_several_modules_and_copies_have_it():
    module, two_layers = bert(pooling=BELOW), bert(pooling="mean_last_two")
    expected = two_layers.features(IDS, MASK)
    for pooling, source in ((BELOW, module), ("mean_last_two", two_layers)):
        other = PooledEncoder(module.config, encoder=source.bert, pooling=BELOW)  # watches one layer more, or none
        other = deepcopy(PooledEncoder(module.config, encoder=other.bert, pooling=pooling)).eval()
        for layer in split_into_layers(other.bert)[1]:
            assert list(layer._forward_pre_hooks.values()) == [keep_input]
        assert torch.equal(other.features(IDS, MASK), source.features(IDS, MASK))
    assert torch.equal(two_layers.features(IDS, MASK), expected)


def test_gradients_are_the_same_with_layers_that_are_computed_again():
    module = bert(pooling=BELOW)
    module(IDS, MASK).logits.sum().backward()
    expected = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    with gradient_checkpointing(module.bert, torch.enable_grad):
        module(IDS, MASK).logits.sum().backward()
    found = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    torch.testing.assert_close(found, expected)
    assert any(p.grad is not None for p in split_into_layers(module.bert)[1][-1].parameters())


def test_an_encoder_without_separate_layers_raises():
    sentence = (
        "An encoder of type 'albert' has no list of separate layers. Pass freeze=None or 'encoder', layer_decay=1.0, "
        "gradient_checkpointing=False and pooling='auto'."
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        module_of("albert")


@pytest.mark.parametrize("n_layers", [1, 2])
def test_watched_layers_that_are_missing_raise(n_layers):
    module = bert(pooling=BELOW, num_hidden_layers=n_layers)
    module.bert.encoder.layer[-1] = deepcopy(module.bert.encoder.layer[-1])
    module.bert.encoder.layer[-1]._forward_pre_hooks.clear()
    shape = (*IDS.shape, 16)
    sentence = (
        f"The inputs of this 'bert' encoder's last layers have the shapes {[shape] * (n_layers - 1)}, expected "
        f"{[shape] * 2} for pooling='mean_last_three'. Pass pooling='mean', or leave the layers in their places."
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        module(IDS)
    if n_layers == 2:
        watch_last_layers(module.bert, 1)
        module(IDS)
