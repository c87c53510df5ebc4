"""The HTML view of an estimator: texts whole, large attributes in short, and no link that leads nowhere."""

import re
from html import unescape

import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

import sklearn_bert
from sklearn_bert import BertClassifier, BertRegressor, BertVectorizer, TextTargetEncoder, TunedThresholdsClassifierCV
from sklearn_bert._inspection.html_view import HtmlViewMixin

newer = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9), reason="scikit-learn 1.9 shows fitted attributes"
)


@pytest.fixture(scope="module")
def fitted(tiny_bert, reviews):
    return BertClassifier(tiny_bert, max_epochs=1, random_state=0, device="cpu", precision="float32").fit(*reviews)


def cells(estimator):
    """Rows of the tables, as lists of texts."""
    rows = re.findall(r"<tr.*?>(.*?)</tr>", estimator_html_repr(estimator), re.DOTALL)
    texts = [re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL) for row in rows]
    return {found[0]: found[-1] for row in texts if (found := [_text(cell) for cell in row])}


def _text(cell):
    return " ".join(unescape(re.sub(r"<.*?>", "", cell)).split())


@newer
def test_the_summary_and_the_problem_type_are_whole(fitted):
    shown = cells(fitted)
    assert shown["summary_"] == fitted.summary_
    assert shown["problem_type_"] == "single_label_classification"
    assert shown["truncation_"] == repr(fitted.truncation_)


@newer
def test_the_net_the_module_and_the_tokenizer_are_in_short(fitted):
    shown = cells(fitted)
    assert shown["net_"] == "on cpu in float32"
    assert shown["module_"] == f"{sum(p.numel() for p in fitted.module_.parameters()):,} parameters"
    assert shown["tokenizer_"] == f"{len(fitted.tokenizer_)} tokens"


@newer
def test_a_label_with_markup_is_shown_as_it_is(tiny_bert):
    texts, y = ["good", "bad"] * 4, ["<b>", "&"] * 4
    estimator = BertClassifier(tiny_bert, max_epochs=1, random_state=0, device="cpu").fit(texts, y)
    assert cells(estimator)["classes_"] == "['&','<b>']"


@newer
def test_a_vectorizer_and_a_pipeline_show_the_same_short_forms(tiny_bert):
    vectorizer = BertVectorizer(tiny_bert, device="cpu", precision="float32").fit(["good"])
    assert cells(vectorizer)["net_"] == cells(make_pipeline(vectorizer))["net_"] == "on cpu in float32"


ESTIMATORS = [BertClassifier, BertRegressor, BertVectorizer, TextTargetEncoder, TunedThresholdsClassifierCV]


def new(estimator_class):
    return estimator_class(BertClassifier()) if estimator_class is TunedThresholdsClassifierCV else estimator_class()


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_without_an_address_there_is_no_link(estimator_class):
    assert new(estimator_class)._get_doc_link() == ""
    assert "href=" not in estimator_html_repr(new(estimator_class))


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_with_an_address_links_lead_to_the_page_of_the_class(estimator_class, monkeypatch):
    monkeypatch.setattr(HtmlViewMixin, "_doc_link_template", "https://a.example/api/sklearn_bert.{estimator_name}.html")
    page = f"https://a.example/api/sklearn_bert.{estimator_class.__name__}.html"
    assert new(estimator_class)._get_doc_link() == page
    assert f'href="{page}"' in estimator_html_repr(new(estimator_class))


@newer
def test_with_an_address_parameters_have_tooltips(monkeypatch):
    monkeypatch.setattr(HtmlViewMixin, "_doc_link_template", "https://a.example/api/sklearn_bert.{estimator_name}.html")
    shown = estimator_html_repr(BertClassifier())
    assert "max_length: int, default=None<br><br>Maximum number of tokens of a text or pair" in shown


def test_a_subclass_in_another_package_has_no_page_here(monkeypatch):
    monkeypatch.setattr(HtmlViewMixin, "_doc_link_template", "https://a.example/{estimator_name}.html")
    assert type("MyClassifier", (BertClassifier,), {"__module__": "mine"})()._get_doc_link() == ""
    assert sklearn_bert.BertClassifier()._get_doc_link() != ""
