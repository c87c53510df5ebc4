"""Small configs of families of encoders, by how attention gets in and by what padding or bfloat16 does in them."""

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModel

from tests.conftest import WORDS, make_tokenizer

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DISTILBERT = {"vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 32}
MODERN = SIZES | {"cls_token_id": 1, "sep_token_id": 2, "local_attention": 4}
THROUGH_THE_INTERFACE = {
    "bert": SIZES,
    "roberta": SIZES,
    "xlm-roberta": SIZES,
    "camembert": SIZES,
    "electra": SIZES | {"embedding_size": 8},
    "albert": SIZES | {"embedding_size": 8},
    "distilbert": DISTILBERT,
    "modernbert": MODERN,
    "nomic_bert": SIZES,
    "eurobert": SIZES | {"num_key_value_heads": 2},  # two heads of the queries for one of the keys
}
EAGER_ONLY = {
    "mpnet": SIZES,
    "rembert": SIZES | {"input_embedding_size": 8, "output_embedding_size": 8},
    "deberta": SIZES,
    "deberta-v2": SIZES,
    "convbert": SIZES | {"embedding_size": 16},
}
PADDING_LEAKS = {  # through convolutions over tokens, and hashes of them
    "convbert": SIZES | {"embedding_size": 16},
    "nystromformer": SIZES,
    "yoso": SIZES,
}
NO_BFLOAT16 = {
    "deberta": SIZES,
    "xmod": SIZES | {"languages": ["en_XX"], "default_language": "en_XX"},
}
TYPES_AMONG_WORDS = {  # their token types are rows of the table of words
    name: {"vocab_size": 50, "emb_dim": 16, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 64}
    for name in ("xlm", "flaubert")
}
OTHERS = {
    "big_bird": SIZES | {"attention_type": "original_full"},
    "data2vec-text": SIZES,
    "ernie": SIZES,
    "funnel": {"vocab_size": 50, "d_model": 16, "n_head": 4, "d_head": 4, "d_inner": 32, "block_sizes": [1, 1]}
    | {"architectures": ["FunnelModel"]},  # transformers has another one of this type
    "gte": SIZES,
    "ibert": SIZES,
    "jina_embeddings_v3": SIZES,
    "longformer": SIZES | {"attention_window": 8},
    "luke": SIZES | {"entity_vocab_size": 4, "entity_emb_size": 8},
    "megatron-bert": SIZES,
    "mobilebert": SIZES | {"embedding_size": 8, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "mra": SIZES | {"block_per_row": 1},
    "roberta-prelayernorm": SIZES,
    "roformer": SIZES | {"embedding_size": 16},
    "squeezebert": SIZES
    | {"embedding_size": 16, "post_attention_groups": 1}
    | dict.fromkeys(("q_groups", "k_groups", "v_groups", "intermediate_groups", "output_groups"), 2),
}
NO_TEXTS = {"fnet": SIZES, "tapas": SIZES}  # refused: no attention mask, or tables
PROTEINS = {"esm": SIZES | {"token_dropout": False, "mask_token_id": 4}}
FAMILIES = THROUGH_THE_INTERFACE | EAGER_ONLY | PADDING_LEAKS | NO_BFLOAT16 | TYPES_AMONG_WORDS | OTHERS


def config_of(model_type, settings=None, **changes):
    """A small config of this family."""
    if model_type not in CONFIG_MAPPING:
        pytest.skip(f"this version of transformers has no {model_type}")
    return CONFIG_MAPPING[model_type](
        **((FAMILIES | NO_TEXTS | PROTEINS)[model_type] if settings is None else settings) | changes
    )


def save_family(folder, model_type, tokenizer=None, **changes):
    """Save an encoder of this family with random weights, and a tokenizer; the folder as a str."""
    tokenizer = tokenizer or make_tokenizer(WORDS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = config_of(model_type, vocab_size=len(tokenizer), **changes)
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
