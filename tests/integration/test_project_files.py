"""What several files of the project say about the same thing, they say alike."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

from sklearn_bert import __version__

ROOT = Path(__file__).parents[2]
PINNED = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE))


def load_yaml(name):
    return yaml.safe_load((ROOT / name).read_text())


def canonical(name):
    return name.lower().replace("_", "-")


def test_the_citation_names_this_version():
    assert load_yaml("CITATION.cff")["version"] == __version__


def test_the_description_on_a_package_index_has_no_links_into_the_repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "README.md").read_text()
    for rule in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert re.findall(r"\]\((?!https:)|src", text) == []
    assert "; measured on two cores." in " ".join(text.split())  # the words of a link stay


def test_each_requirement_has_a_pinned_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {canonical(re.match(r"[\w-]+", requirement)[0]) for requirement in requirements}
    assert names - set(map(canonical, PINNED)) == {"sklearn-bert"}


def test_the_page_on_other_libraries_names_the_pinned_versions():
    rows = re.findall(
        r"^\| ([\w-]+) \| (\d[\d.]+) \|", (ROOT / "docs" / "other_libraries.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 10
    assert [(name, version) for name, version in rows if PINNED[name] != version] == []


def test_hooks_have_the_pinned_versions():
    revisions = {repo["repo"].rsplit("/", 1)[1]: repo["rev"] for repo in load_yaml(".pre-commit-config.yaml")["repos"]}
    assert revisions["ruff-pre-commit"] == f"v{PINNED['ruff']}"
    assert revisions["codespell"] == f"v{PINNED['codespell']}"


def test_the_workflow_runs_the_style_checks_and_the_whole_of_ci():
    jobs = load_yaml(".github/workflows/ci.yml")["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {"ruff check .", "ruff format --check .", "codespell", "bash .ci/run"} <= set(commands)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_files_that_a_page_names_exist(page):
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    files = re.findall(r"`((?:\.?\w+/)+\w+(?:\.\w+)?|\w+\.(?:md|cff|txt))`", text)
    assert len(links + files) >= 1
    assert [name for name in links + files if not (ROOT / name).exists()] == []
