"""Which encoders use the CPU kernels, when torch's own functions run instead, and how to switch the kernels off."""

import pickle
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface, AutoModel, BertModel

from sklearn_bert import BertClassifier, BertModule
from sklearn_bert._model import cpu_kernels
from sklearn_bert._model.cpu_kernels import CPU_ATTENTION, FastCpuKernels, attention_forward
from sklearn_bert._model.dropout import set_dropout
from tests.conftest import make_config
from tests.helpers import FAST, cases
from tests.model.families import EAGER_ONLY, THROUGH_THE_INTERFACE, config_of

# transformers 5.0 compiles parts of DeBERTa and ModernBERT when they are first imported, by what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")

IDS = torch.arange(5, 19).view(2, 7)
MASK = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]])


@pytest.fixture(autouse=True)
def seed_zero():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def calls(monkeypatch):
    """Names of the kernels of this package that ran, in order."""
    calls = []
    for name in ("_Attention", "_Dropout"):
        function = getattr(cpu_kernels, name)
        spy = SimpleNamespace(apply=lambda *args, f=function, n=name: calls.append(n) or f.apply(*args))
        monkeypatch.setattr(cpu_kernels, name, spy)
    return calls


def queries(n_heads=2, n_key_heads=2, dtype=torch.float64):
    sizes = [(2, n, 5, 4) for n in (n_heads, n_key_heads, n_key_heads)]
    return [torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes]


def padding_mask(dtype=torch.bool, *, learned=False):
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1, :, :, 3:] = False
    return mask if dtype == torch.bool else torch.where(mask, 0.0, -1e4).to(dtype).requires_grad_(learned)


# -- encoders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", THROUGH_THE_INTERFACE)
def test_an_encoder_of_the_interface_uses_our_attention_and_equals_torchs(model_type, calls, monkeypatch):
    """In training mode, with an attention dropout so rare that it never drops a weight."""
    config = config_of(model_type, THROUGH_THE_INTERFACE[model_type])
    for name in [name for name in vars(config) if "dropout" in name]:
        setattr(config, name, 0.0)
    set_dropout(config, attention_dropout=1e-9)
    encoder = AutoModel.from_config(config).double()
    if not encoder._can_set_attn_implementation():
        pytest.skip(f"{model_type} is not written for the interface in this version of transformers")
    module = BertModule(config, encoder=encoder, pooling="mean", dropout=0.0).train()
    assert module.bert.config._attn_implementation == CPU_ATTENTION
    results = []
    for value in ("1", "0"):
        monkeypatch.setenv("SKLEARN_BERT_CPU_KERNELS", value)
        module.zero_grad()
        torch.manual_seed(0)
        output = module(IDS, MASK, output_hidden_states=True)
        output.logits.square().sum().backward()
        gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        results.append([output.logits, output.hidden_states[-1][MASK == 1], gradients])
        assert calls == ["_Attention"] * 2
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("model_type", EAGER_ONLY)
def test_an_encoder_with_eager_attention_only_stays_as_it_is(model_type):
    config = config_of(model_type, EAGER_ONLY[model_type])
    encoder = AutoModel.from_config(config)
    before = encoder.config
    assert BertModule(config, encoder=encoder, pooling="mean").bert.config is before
    assert before._attn_implementation == "eager"


def test_an_encoder_that_asks_for_eager_attention_keeps_it():
    assert BertModule(make_config(50, attn_implementation="eager")).bert.config._attn_implementation == "eager"


def test_the_config_that_the_caller_holds_keeps_its_attention():
    config = make_config(50)
    encoder = BertModule(config, encoder=BertModel(config)).bert
    assert config._attn_implementation == "sdpa"
    assert {m.config._attn_implementation for m in encoder.modules() if hasattr(m, "config")} == {CPU_ATTENTION}
    assert len({id(m.config) for m in encoder.modules() if hasattr(m, "config")}) == 1


def test_a_change_of_the_modules_config_reaches_the_encoder_that_the_module_made():
    module = BertModule(make_config(50))
    module.config.output_hidden_states = True
    assert len(module(IDS).hidden_states) == 3


def test_a_saved_encoder_does_not_name_our_attention(tmp_path):
    module = BertModule(make_config(50))
    module.bert.save_pretrained(tmp_path)
    assert CPU_ATTENTION not in (tmp_path / "config.json").read_text()
    assert BertModel.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


@pytest.mark.parametrize("copy", [deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["copy", "pickle"])
def test_a_copy_and_a_pickle_of_a_module_compute_the_same(copy):
    module = BertModule(make_config(50)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(copy(module)(IDS, MASK).logits, module(IDS, MASK).logits)


# -- when torch's own attention runs --------------------------------------------------------------------


SPECIAL = {
    "causal": {"module": SimpleNamespace(is_causal=True)},
    "causal by argument": {"is_causal": True},
    "neither says": {"module": SimpleNamespace()},
    "groups without a mask": {"module": SimpleNamespace(is_causal=False, num_key_value_groups=2), "n_key_heads": 1},
    "mask that learns": {"mask": padding_mask(torch.float64, learned=True)},
    "bias by position": {"mask": padding_mask(), "position_bias": torch.randn(1, 2, 5, 5, dtype=torch.float64)},
}
PLAIN = {
    "no mask": {},
    "bool mask": {"mask": padding_mask()},
    "added mask": {"mask": padding_mask(torch.float64)},
    "groups": {
        "module": SimpleNamespace(is_causal=False, num_key_value_groups=2),
        "n_key_heads": 1,
        "mask": padding_mask(),
    },
    "causal module with a mask": {"module": SimpleNamespace(is_causal=True), "mask": padding_mask()},
    "scale": {"scaling": 0.3},
}


@pytest.mark.parametrize(("case", "ours"), **cases({k: (v, k in PLAIN) for k, v in (SPECIAL | PLAIN).items()}))
def test_the_registered_function_equals_transformers_and_leaves_special_cases_to_it(case, ours, calls):
    case = dict(case)
    module = case.pop("module", SimpleNamespace(is_causal=False))
    qkv, mask = queries(n_key_heads=case.pop("n_key_heads", 2)), case.pop("mask", None)
    expected = AttentionInterface()["sdpa"](module, *qkv, mask, **case)[0]
    mixed, weights = attention_forward(module, *qkv, mask, dropout=1e-9, **case)
    torch.testing.assert_close(mixed, expected)
    assert weights is None
    assert mixed.is_contiguous()
    assert calls == ["_Attention"] * ours
    gradients = (torch.autograd.grad(x.square().sum(), qkv) for x in (mixed, expected))
    torch.testing.assert_close(*gradients)


def test_a_mask_that_learns_gets_a_gradient():
    mask = padding_mask(torch.float64, learned=True)
    attention_forward(SimpleNamespace(), *queries(), mask, dropout=0.1)[0].sum().backward()
    assert mask.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_dropout_float32_and_float64_keep_torchs_fused_attention_to_the_bit(dtype, calls):
    module, qkv = SimpleNamespace(is_causal=False), queries(dtype=dtype)
    expected = F.scaled_dot_product_attention(*qkv, padding_mask())
    assert torch.equal(attention_forward(module, *qkv, padding_mask())[0].transpose(1, 2), expected)
    assert calls == []


def test_a_module_without_dropout_equals_one_with_torchs_attention_to_the_bit():
    ours = BertModule(make_config(50)).eval()
    torchs = deepcopy(ours)
    torchs.bert.set_attn_implementation("sdpa")
    assert torch.equal(ours(IDS, MASK).logits, torchs(IDS, MASK).logits)


@pytest.mark.skipif(torch.__version__ < (2, 8), reason="torch cannot export it")
def test_an_exported_module_has_torchs_attention(calls):
    module = BertModule(make_config(50)).eval().bfloat16()
    program = torch.export.export(module, (IDS, MASK), kwargs={"return_dict": False})
    assert "scaled_dot_product_attention" in str(program.graph)
    assert calls == []
    torch.testing.assert_close(program.module()(IDS, MASK, return_dict=False), module(IDS, MASK, return_dict=False))


def test_a_transform_of_torch_func_in_training_mode_uses_torchs_functions(calls):
    module = BertModule(make_config(50)).train()
    parameters = dict(module.named_parameters())

    def loss(parameters):
        with FastCpuKernels():
            return torch.func.functional_call(module, parameters, (IDS, MASK)).logits.sum()

    gradients = torch.func.grad(loss)(parameters)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert calls == []


# -- estimators, and the switch -------------------------------------------------------------------------


def test_an_estimator_in_bfloat16_trains_and_predicts_with_our_kernels(tiny_bert, reviews, calls):
    fitted = BertClassifier(tiny_bert, head_init="random", **FAST | {"precision": "bfloat16"}).fit(*reviews)
    assert set(calls) == {"_Attention", "_Dropout"}
    calls.clear()
    fitted.predict(reviews[0][:1])
    assert calls == []  # torch's is faster for a few texts
    fitted.predict(["good " * 70] * 40)
    assert set(calls) == {"_Attention"}


def test_switched_off_dropout_and_attention_are_torchs_with_the_same_random_numbers(monkeypatch, calls):
    module = BertModule(make_config(50, attention_probs_dropout_prob=0.3)).train()
    torchs = deepcopy(module)
    torchs.bert.set_attn_implementation("sdpa")
    monkeypatch.setenv("SKLEARN_BERT_CPU_KERNELS", "0")
    results = []
    for model, context in ((module, FastCpuKernels()), (torchs, torch.enable_grad())):
        torch.manual_seed(1)
        with context, torch.autocast("cpu", torch.bfloat16):
            results.append(model(IDS, MASK).logits)
    assert torch.equal(*results)
    assert calls == []


def test_the_switch_is_read_at_each_call(monkeypatch, calls):
    x = torch.ones(10)
    for value, expected in (("0", 0), ("1", 1), ("0", 1)):
        monkeypatch.setenv("SKLEARN_BERT_CPU_KERNELS", value)
        with FastCpuKernels():
            nn.Dropout(0.5)(x)
        assert len(calls) == expected


@pytest.mark.parametrize("values", [("1", "0"), ("0", "1")], ids=["fitted with them", "fitted without them"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_was_fitted_and_pickled_with_or_without_the_kernels_predicts_with_either(
    tiny_bert, reviews, monkeypatch, calls, values, precision
):
    monkeypatch.setenv("SKLEARN_BERT_CPU_KERNELS", values[0])
    settings = FAST | {"precision": precision, "gradient_checkpointing": True}
    fitted = BertClassifier(tiny_bert, **settings).fit(*reviews)
    assert bool(calls) == (values[0] == "1")
    expected, stored = fitted.predict_proba(reviews[0]), pickle.dumps(fitted)
    monkeypatch.setenv("SKLEARN_BERT_CPU_KERNELS", values[1])
    tolerance = 0 if precision == "float32" else 0.02
    np.testing.assert_allclose(pickle.loads(stored).predict_proba(reviews[0]), expected, rtol=0, atol=tolerance)
