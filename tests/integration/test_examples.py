"""An example runs as the notebook that one downloads; the documentation's build runs them all as scripts."""

import json
import re
from pathlib import Path

import nbclient
import nbformat
import pytest
from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

EXAMPLES = Path(__file__).parents[2] / "examples"


def notebook_of(path):
    """The notebook that the gallery offers for download."""
    _, blocks = split_code_and_text_blocks(str(path))
    stored = json.dumps(jupyter_notebook(blocks, dict(DEFAULT_GALLERY_CONF), str(EXAMPLES)))
    return nbformat.reads(stored, as_version=4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the notebook's machinery; the kernel is another process
def test_example_runs_as_a_notebook():
    notebook = notebook_of(EXAMPLES / "plot_08_explanations.py")
    place = {"metadata": {"path": str(EXAMPLES)}}
    nbclient.NotebookClient(notebook, timeout=600, startup_timeout=600, resources=place).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output["data"] for output in outputs if "data" in output]
    assert sum("speaks against" in data.get("text/html", "") for data in shown) == 3
    assert sum("image/png" in data for data in shown) == 1
    printed = "".join(output["text"] for output in outputs if output.output_type == "stream")
    assert float(re.search(r"accuracy: (\S+)", printed).group(1)) > 0.7


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("plot_*.py")), ids=lambda path: path.stem)
def test_every_example_starts_with_text_and_has_several_text_cells(path):
    _, blocks = split_code_and_text_blocks(str(path))
    kinds = [kind for kind, _, _ in blocks]
    assert kinds[0] == "text"  # what it is about
    assert kinds.count("text") >= 3
    assert re.fullmatch(r"plot_\d\d_\w+", path.stem)
