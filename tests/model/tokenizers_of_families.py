"""Small tokenizers of the kinds that families of encoders have, trained on a few texts."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.conftest import WORDS, make_tokenizer

# Special tokens in the order of their ids, and where they stand around one and two texts.
BERT_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
BERT_ROWS = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"
ROBERTA_TOKENS = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
ROBERTA_ROWS = "<s> $A </s>", "<s> $A </s> </s> $B </s>"

BYTES_LIKE_ROBERTA = {"roberta", "data2vec-text", "longformer", "luke", "ibert", "mra", "roberta-prelayernorm"}
BYTES_LIKE_BERT = {"deberta", "modernbert", "eurobert"}
PIECES_LIKE_ROBERTA = {"xlm-roberta", "camembert", "xmod", "jina_embeddings_v3", "gte", "flaubert", "xlm"}
PIECES_LIKE_BERT = {"albert", "deberta-v2", "rembert", "big_bird", "nystromformer", "yoso"}
KINDS = {  # of a tokenizer, and the families that have it; all others have BERT's WordPiece
    "bytes, `<s>`": BYTES_LIKE_ROBERTA,
    "bytes, `[CLS]`": BYTES_LIKE_BERT,
    "SentencePiece, `<s>`": PIECES_LIKE_ROBERTA,
    "SentencePiece, `[CLS]`": PIECES_LIKE_BERT,
}


def kind_of(model_type):
    """The name of the kind of tokenizer that a family has."""
    return next((kind for kind, families in KINDS.items() if model_type in families), "WordPiece")


def tokenizer_of(model_type, texts):
    """A tokenizer of the kind that a family has, which knows the words of these texts."""
    kind = kind_of(model_type)
    if kind == "WordPiece":
        return make_tokenizer(WORDS)
    tokens, rows = (ROBERTA_TOKENS, ROBERTA_ROWS) if "<s>" in kind else (BERT_TOKENS, BERT_ROWS)
    tokenizer = bytes_tokenizer(texts, tokens) if kind.startswith("bytes") else pieces_tokenizer(texts, tokens)
    ids = [(token, tokenizer.token_to_id(token)) for token in (tokens["cls"], tokens["sep"])]
    tokenizer.post_processor = processors.TemplateProcessing(single=rows[0], pair=rows[1], special_tokens=ids)
    names = {f"{name}_token": token for name, token in tokens.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names)


def bytes_tokenizer(texts, tokens, size=320):
    """Byte-level BPE, as of GPT-2 and RoBERTa; a space belongs to the word behind it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    settings = {"vocab_size": size, "special_tokens": list(tokens.values()), "show_progress": False}
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(initial_alphabet=alphabet, **settings))
    return tokenizer


def pieces_tokenizer(texts, tokens):
    """Unigram with a sign for a space and full-width forms made narrow, as SentencePiece makes one."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    size = len(set("".join(map(normalizers.NFKC().normalize_str, texts)))) + 100  # letters, and a hundred other pieces
    settings = {"vocab_size": size, "special_tokens": list(tokens.values()), "show_progress": False}
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(unk_token=tokens["unk"], **settings))
    return tokenizer
