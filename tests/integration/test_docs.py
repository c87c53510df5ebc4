"""Every Python block of the README and the documentation runs and prints what the page shows; links lead somewhere."""

import contextlib
import io
import re
import runpy
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from sklearn_bert import BertClassifier, BertRegressor

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TRANSLATION = ROOT / "README.zh.md"


# A block of text below a Python block, with one sentence such as "It prints:" between, is what that block prints.
BLOCKS = re.compile(r"^```python\n(.*?)^```$(?:\n\n[^\n`]*:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def python_blocks(page):
    """(code, what it prints or an empty str), in order."""
    return BLOCKS.findall(page.read_text())


RUN_HERE = [page for page in PAGES if python_blocks(page) and page.stem != "other_libraries"]  # that has its own test


def words_and_numbers(text):
    """Words and layout with each number as #, and the numbers."""
    number = r"\d+\.\d+"
    return re.sub(number, "#", text), [float(found) for found in re.findall(number, text)]


def headings(page):
    """The anchors that GitHub and the documentation give to headings."""
    titles = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL), re.M
    )
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.name)
def test_python_blocks_of_a_page_run_in_order(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    namespace = {}
    for block, shown in python_blocks(page):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block, str(page), "exec"), namespace)
        if shown:
            (words, numbers), (shown_words, shown_numbers) = map(words_and_numbers, (printed.getvalue(), shown))
            assert words == shown_words
            assert numbers == pytest.approx(shown_numbers, abs=0.1)  # other processors round in another way


def test_the_readme_shows_what_its_first_example_prints():
    code, shown = python_blocks(ROOT / "README.md")[0]
    assert code.count("print(") == 2
    assert words_and_numbers(shown)[0].splitlines()[:2] == ["['billing']", "# account"]


@pytest.mark.parametrize("page", [*PAGES, TRANSLATION], ids=lambda page: page.name)
def test_relative_links_of_a_page_point_to_existing_files(page):
    text = page.read_text()
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_translation_has_the_sections_code_figures_and_links_of_the_original():
    def parts(page):
        text = page.read_text()
        code = re.findall(r"^```.*?^```$", text, flags=re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^```.*?^```$|\[[^]]*\]\(README[\w.]*\)", "", text, flags=re.MULTILINE | re.DOTALL)
        levels = re.findall(r"^#+(?= )", prose, flags=re.MULTILINE)
        numbers = sorted(re.findall(r"\d+\.\d+", prose))
        return levels, code, numbers, sorted(re.findall(r"\]\(([^)]+)\)", prose)), prose.count("\n|")

    assert parts(TRANSLATION) == parts(ROOT / "README.md")


@pytest.mark.parametrize("page", [*PAGES, TRANSLATION], ids=lambda page: page.name)
def test_links_to_a_section_of_a_page_lead_to_a_heading(page):
    links = re.findall(r"\]\((?!https?:)([^)#]*\.md)?#([^)]+)\)", page.read_text())
    assert [link for link in links if link[1] not in headings(page.parent / link[0] if link[0] else page)] == []


def words_of(name):
    """The text of a page with single spaces."""
    return " ".join((ROOT / name).read_text().split())


def test_the_figures_of_the_readme_are_those_of_the_measured_pages():
    readme, accuracy, performance = map(words_of, ("README.md", "docs/accuracy.md", "docs/performance.md"))
    [points] = re.findall(r"([\d.]+) points above `transformers.Trainer`", readme)
    assert f"the defaults are {points} points above Trainer on average" in accuracy
    [times] = re.findall(r"(\d+) times sooner, the median", readme)
    assert f"The median is {times} times." in accuracy
    for competitor, figures in {
        "`transformers.pipeline`, its defaults": r"([\d.]+) times as many short texts .* ([\d.]+) times as many long",
        "`Trainer.predict`, bfloat16, batches of 32": r"It is ([\d.]+) and ([\d.]+) times as fast as `Trainer.predict`",
    }.items():
        [(short, long)] = re.findall(figures, readme)
        assert re.search(rf"\| {re.escape(competitor)} \| \d+ \| {short} \| \d+ \| {long} \|", performance)


def test_sections_that_get_a_chart_exist():
    charts = runpy.run_path(str(ROOT / "docs" / "_extensions" / "table_charts.py"))["CHARTS"]
    assert [name for page, name in charts if name not in headings(ROOT / "docs" / f"{page}.md")] == []


def test_no_line_ends_between_a_number_and_its_deviation_or_unit():
    details = runpy.run_path(str(ROOT / "docs" / "_extensions" / "page_details.py"))
    doctree = publish_doctree("It has 0.8 ± 0.1 in 12 s, and ``0.8 ± 0.1 s`` in 3 steps.")
    details["keep_numbers_whole"](None, doctree, None)
    assert doctree.astext().replace("\xa0", "~") == "It has 0.8~±~0.1 in 12~s, and 0.8 ± 0.1 s in 3 steps."


def test_the_groups_of_parameters_are_complete():
    table = (ROOT / "docs" / "first_parameters.md").read_text().split("<!-- groups -->")[1]
    grouped = re.findall(r"`(\w+)`", table.split("| group |")[1])
    assert sorted(grouped) == sorted(BertClassifier().get_params().keys() | BertRegressor().get_params().keys())
