"""A page in Chinese says all that the English page says, with the same code, links and figures."""

import io
import json
import re
import runpy
import shutil
import warnings
from collections import Counter
from pathlib import Path

import pytest
from babel.messages import pofile
from sphinx.application import Sphinx
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

from tests.browser import evaluate

ROOT = Path(__file__).parents[2]
CATALOGUES = ROOT / "docs" / "locale" / "zh_CN" / "LC_MESSAGES"
PAGES = sorted(str(path.relative_to(CATALOGUES))[:-3] for path in CATALOGUES.rglob("*.po") if path.stem != "sphinx")
CODE = r"``[^`]+``|(?<![:`}])`[^`]+`(?!_)"
CHINESE = "[\u4e00-\u9fff]"


def read_catalogue(path):
    """{message: entry} of a file of gettext."""
    with path.open("rb") as file:
        return {message.id: message for message in pofile.read_po(file) if message.id}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """{page: its messages}, as Sphinx extracts them; of an example those of its text, without the gallery's own."""
    folder = tmp_path_factory.mktemp("docs")
    docs, out = folder / "docs", folder / "out"
    shutil.copy(ROOT / "README.md", folder)
    for page in PAGES:
        target = docs / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if page.startswith("auto_examples/"):
            _, blocks = split_code_and_text_blocks(str(ROOT / "examples" / f"{target.name}.py"))
            target.with_suffix(".rst").write_text("\n\n".join(text for kind, text, _ in blocks if kind == "text"))
        else:
            shutil.copy(ROOT / "docs" / f"{page}.md", docs)
    settings = {"extensions": ["myst_parser"], "myst_enable_extensions": ["dollarmath", "deflist"]}
    settings |= {"gettext_compact": False, "gettext_location": False}
    with warnings.catch_warnings(action="ignore"):  # of what the parser uses of Sphinx
        Sphinx(docs, None, out, out, "gettext", settings, status=None, warning=io.StringIO()).build()
    return {page: list(read_catalogue(out / f"{page}.pot")) for page in PAGES}


@pytest.fixture
def entries(page):
    return read_catalogue(CATALOGUES / f"{page}.po")


def parts(text):
    """Code, formulas, targets of links and figures of a message."""
    text = re.sub(r"(\d+) million", lambda found: f"{int(found[1]) * 100:,}", text)  # Chinese counts in 10,000
    return {
        "code": Counter(re.findall(CODE, text)),
        "formulas": Counter(re.findall(r"\$[^$]+\$", text)),
        "roles": Counter(re.findall(r"\{\w+\}(?=`)|:\w+:(?=`)", text)),
        "links": Counter(re.findall(r"(?:\]\((?:docs/)?|<)([^()<>\s]+)[)>]", text)),
        "figures": Counter(re.findall(r"\d+(?:[.,]\d+)*(?!\d|-D)", re.sub(CODE, "", text))),
    }


def test_the_main_pages_are_translated():
    main = "index", "guide", "modes", "training", "how_it_works", "saving", "troubleshooting"
    assert {*main, "auto_examples/plot_01_quickstart"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_message_of_a_page_has_a_translation(page, originals, entries):
    missing = [message for message in originals[page] if message not in entries]
    unfinished = [message for message, entry in entries.items() if entry.fuzzy or not entry.string]
    assert (missing, unfinished) == ([], [])


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("auto_examples/")])
def test_a_catalogue_holds_only_what_the_page_says(page, originals, entries):
    assert [message for message in entries if message not in originals[page]] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_translation_keeps_code_links_and_figures(page, entries):
    for message, entry in entries.items():
        original, translated = parts(message), parts(entry.string)
        lost = original.pop("figures") - translated.pop("figures")  # "twenty" may be 20
        assert (not lost and original == translated) or f"{message!r} is not {entry.string!r}" == ""


@pytest.mark.parametrize("page", PAGES)
def test_a_translation_has_chinese_punctuation_and_spaces_beside_latin_words(page, entries):
    wrong = re.compile(rf"{CHINESE}(?:[,;:?!]|\.(?!\w)|[A-Za-z0-9$])|[A-Za-z0-9$%]{CHINESE}")
    text = "\n".join(entry.string for entry in entries.values())
    text = re.sub(r"\]\([^)]*\)| <[^>]*>|:\w+:(?=`)|\{\w+\}|[\[\\]", "", text)
    text = re.sub(r"`+([^`]*)`+_?", lambda code: code[1] if re.search(CHINESE, code[1]) else "x", text)
    assert wrong.findall(text) == []


def test_the_figure_in_chinese_is_the_original_with_other_words():
    names = "how_it_works.svg", "how_it_works.zh_CN.svg"
    figures = [(ROOT / "docs" / "_static" / name).read_text() for name in names]
    drawn = [re.sub(r'>[^<]+<|font-family="[^"]*"', "", figure) for figure in figures]
    assert drawn[0] == drawn[1]


def test_the_search_splits_queries_as_it_splits_pages(tmp_path):
    search = runpy.run_path(str(ROOT / "docs" / "_extensions" / "translations.py"))["PairsOfCharacters"]({})
    text = "学习率 和 max_length 微调"
    assert sorted(search.split(text)) == ["max_length", "习率", "和", "学习", "微调"]
    split_query = f"{search.js_splitter_code} return splitQuery({json.dumps(text)});"
    assert sorted(evaluate("", split_query, tmp_path)) == sorted(search.split(text))
