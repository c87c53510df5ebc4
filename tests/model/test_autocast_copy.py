"""The copy for autocast gives the bits of its module, and is not current once the module has changed in any way."""

import pytest
import torch
from torch import nn

from sklearn_bert import BertModule
from sklearn_bert._model.autocast_copy import AutocastCopy
from sklearn_bert._model.encoder_trial import TRIED_FAMILIES
from tests.helpers import cases
from tests.model.families import config_of
from tests.model.helpers import IDS, MASK, bert

# transformers 5.0 compiles parts of DeBERTa and ModernBERT when they are first imported, by what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")


def logits(module):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        return module(IDS, MASK).logits


def dense(module):
    """A linear layer in the middle of the encoder."""
    return module.bert.encoder.layer[1].attention.output.dense


def double_uncounted(module):
    dense(module).weight.data *= 2


def double_in_numpy(module):
    array = dense(module).weight.detach().numpy()
    array *= 2


def write(module):
    with torch.no_grad():
        dense(module).bias[3] += 1


def load(module):
    module.load_state_dict({name: 2 * values for name, values in module.state_dict().items()})


def replace_parameter(module):
    dense(module).bias = nn.Parameter(torch.ones(16))


def remove_bias(module):
    dense(module).bias = None


def other_storage(module):
    dense(module).weight.data = dense(module).weight.data * 2


def replace_layer(module):
    module.bert.encoder.layer[0] = module.bert.encoder.layer[1]


def adapt(module):
    """As an adapter does: a module in the place of a linear layer, around it."""
    module.bert.encoder.layer[1].attention.output.dense = nn.Sequential(dense(module), nn.Linear(16, 16))


def override_forward(module):
    layer = module.bert.encoder.layer[1].intermediate
    forward = layer.forward
    layer.forward = lambda hidden_states: 2 * forward(hidden_states)


def hook(module):
    dense(module).register_forward_hook(lambda layer, inputs, output: 2 * output)


def hook_around(module):
    module.bert.encoder.layer[1].register_forward_pre_hook(lambda layer, inputs: (2 * inputs[0], *inputs[1:]))


def parametrize(module):
    class Twice(nn.Module):
        def forward(self, weight):
            return 2 * weight

    nn.utils.parametrize.register_parametrization(dense(module), "weight", Twice())


CHANGES = [double_uncounted, double_in_numpy, write, load, replace_parameter, remove_bias, other_storage, replace_layer]
CHANGES += [adapt, override_forward, hook, hook_around, parametrize]


@pytest.mark.parametrize(
    ("model_type", "pooling"),
    [*((model_type, "mean") for model_type in sorted(TRIED_FAMILIES)), ("bert", "mean_last_three")],
)
def test_of_each_family_the_copy_gives_the_same_bits_and_its_weights_are_cast(model_type, pooling):
    config = config_of(model_type)
    config.num_labels = 3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = BertModule(config, pooling=pooling, hidden_layer_sizes=(8,)).eval()
    copy = AutocastCopy(module, torch.bfloat16)
    assert copy.is_current(module, torch.bfloat16)
    assert torch.equal(logits(copy.module), logits(module))
    linear = [layer for layer in copy.module.modules() if type(layer) is nn.Linear]
    assert {p.dtype for layer in linear for p in layer.parameters()} == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in module.parameters())


def test_everything_but_linear_layers_is_shared():
    module = bert()
    copy = AutocastCopy(module, torch.bfloat16).module
    assert copy.bert.embeddings is module.bert.embeddings
    linear = {id(p) for layer in module.modules() if type(layer) is nn.Linear for p in layer.parameters()}
    assert {id(p) for p in module.parameters()} - {id(p) for p in copy.parameters()} == linear


@pytest.mark.parametrize("change", **cases({change.__name__: change for change in CHANGES}))
def test_a_change_of_the_module_shows_and_the_next_copy_has_it(change):
    module = bert()
    copy, before = AutocastCopy(module, torch.bfloat16), logits(module)
    change(module)
    assert not copy.is_current(module, torch.bfloat16)
    again = AutocastCopy(module, torch.bfloat16)
    assert again.is_current(module, torch.bfloat16)
    assert torch.equal(logits(again.module), logits(module))
    assert not torch.equal(logits(module), before)


def test_what_is_shared_may_change_without_a_new_copy():
    module = bert()
    copy = AutocastCopy(module, torch.bfloat16)
    norm = module.bert.embeddings.LayerNorm
    norm.weight = nn.Parameter(2 * norm.weight.detach())
    norm.register_forward_hook(lambda layer, inputs, output: 2 * output)
    assert copy.is_current(module, torch.bfloat16)
    assert torch.equal(logits(copy.module), logits(module))


def test_the_training_mode_another_module_or_another_dtype_show():
    module, other = bert(), bert()
    copy = AutocastCopy(module, torch.bfloat16)
    assert not copy.is_current(other, torch.bfloat16)
    assert not copy.is_current(module, torch.float16)
    dense(module).train()
    assert not copy.is_current(module, torch.bfloat16)


def test_a_replaced_tensor_among_the_attributes_shows():
    module = bert()
    module.bert.scale = torch.ones(3)
    copy = AutocastCopy(module, torch.bfloat16)
    module.bert.scale = torch.ones(3)
    assert not copy.is_current(module, torch.bfloat16)


def test_with_a_hook_for_all_modules_the_module_itself_is_used():
    module, seen = bert(), set()
    earlier = AutocastCopy(module, torch.bfloat16)
    handle = nn.modules.module.register_module_forward_hook(lambda layer, inputs, output: seen.add(layer))
    try:
        assert not earlier.is_current(module, torch.bfloat16)
        assert AutocastCopy(module, torch.bfloat16).module is module
    finally:
        handle.remove()


def test_weights_that_are_shared_are_cast_once_and_others_are_left_alone():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4).double(), nn.Linear(4, 4, bias=False))
    module[1].weight = module[0].weight
    copy = AutocastCopy(module.eval(), torch.bfloat16).module
    assert copy[1].weight is copy[0].weight
    assert copy[2] is module[2]
    assert copy[3].bias is None
    nothing = nn.Sequential(nn.LayerNorm(4)).eval()
    assert AutocastCopy(nothing, torch.bfloat16).module is nothing


def test_weights_that_are_no_numbers_are_no_change():
    module = bert()
    nn.init.constant_(dense(module).weight, float("nan"))
    assert AutocastCopy(module, torch.bfloat16).is_current(module, torch.bfloat16)
