"""How the documentation is built: `sphinx-build -W docs docs/_build/html`, without network."""

import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - the gallery looks up what a story imports

import sklearn_bert
from sklearn_bert._inspection.html_view import DOCUMENTATION, HtmlViewMixin
from sklearn_bert._runtime import progress

sys.path.append(str(Path(__file__).parent / "_extensions"))

project = "sklearn_bert"
author = "the sklearn_bert developers"
project_copyright = author
release = version = sklearn_bert.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "page_details",
    "table_charts",
    "translations",
]
exclude_patterns = ["_build", "_templates", "locale", "measurements"]
templates_path = ["_templates"]
nitpicky = False  # the types in docstrings are words for people, no cross-references
html_math_renderer = "mathml"  # browsers draw it themselves; MathJax would come from another server

# -- pages -------------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_bert"
html_baseurl = f"{DOCUMENTATION}/" if DOCUMENTATION else ""
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["copy.js"]
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_sidebars = {"index": [], "changes": [], "architecture": []}
html_theme_options = {
    "logo": {
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "text": f"sklearn_bert {version}",
        "alt_text": "",  # the text says it
    },
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["language-switch", "search-button"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}

# -- translations --------------------------------------------------------------------------------------

locale_dirs = ["locale"]
gettext_compact = False  # a catalogue for each page
gettext_location = False  # line numbers would change with each edit

# -- API ---------------------------------------------------------------------------------------------

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseEstimator,Module,object",
}
autodoc_typehints = "none"  # the docstrings have the types, in words for people
numpydoc_show_class_members = False  # autodoc lists them, with their whole text
_OF_SCIKIT_LEARN = (  # in inherited docstrings
    "accuracy_score",
    "df_output_transform",
    "meta-estimator",
    "metadata_routing",
    "r2_score",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py",
)

# The views of estimators on the gallery's pages lead to the API beside them, with or without an address.
HtmlViewMixin._doc_link_template = "../api/sklearn_bert.{estimator_name}.html"

# -- examples ----------------------------------------------------------------------------------------

progress._INTERVAL = 3600  # seconds; a page keeps each line that a bar once was, and the first and the last will do
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"serve_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib|sklearn_bert\._inspection\.training_curve_display",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,  # that page would load scripts from another server
    "min_reported_time": 1,
    "plot_gallery": True,
    "reset_modules": ("matplotlib",),
}


def _mathml(as_block):
    def visit(translator, node):
        translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=as_block))
        raise nodes.SkipNode

    return visit, None


def _plain_text(app, env, node, contnode):
    return contnode if node["reftarget"] in _OF_SCIKIT_LEARN else None


def setup(app):
    app.connect("missing-reference", _plain_text)
    app.add_html_math_renderer("mathml", inline_renderers=_mathml(False), block_renderers=_mathml(True))
