"""The site in Chinese, below the English one: only pages that have a catalogue, and a link on each page to the other.

All pages are read, so that navigation and links are whole. A page without a catalogue is not written: links to it lead
to the English page, one folder up.
"""

import re
from pathlib import Path

from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.search.zh import SearchChinese

CHINESE, FOLDER = "zh_CN", "zh"
_CATALOGUES = Path(__file__).parents[1] / "locale" / CHINESE / "LC_MESSAGES"
_TIMING = re.compile(r"^\.\. rst-class:: sphx-glr-timing\n\n.*\n", re.MULTILINE)


def has_translation(docname):
    return (_CATALOGUES / f"{docname}.po").exists()


class TranslatedPagesBuilder(StandaloneHTMLBuilder):
    """Writes the pages that have a catalogue."""

    def get_target_uri(self, docname, typ=None):
        """The address of a page from the root of the Chinese site."""
        uri = super().get_target_uri(docname, typ)
        return uri if has_translation(docname) or docname not in self.env.found_docs else f"../{uri}"

    def write_doc(self, docname, doctree):
        """Write a page that has a catalogue."""
        if has_translation(docname):
            super().write_doc(docname, doctree)

    def write_doc_serialized(self, docname, doctree):
        """Copy the images of such a page, and list its words for the search."""
        if has_translation(docname):
            super().write_doc_serialized(docname, doctree)


class PairsOfCharacters(SearchChinese):
    """Chinese has no spaces between words, so each two neighbouring characters are a term, in pages and queries."""

    language_name = "English"  # names the class of the stemmer, which is that of English for the Latin words
    js_splitter_code = r"""
var splitQuery = (query) =>
  (query.match(/[\u4e00-\u9fff]+|[a-zA-Z0-9_]+/g) || []).flatMap((part) =>
    /[\u4e00-\u9fff]{3}/.test(part) ? [...part].slice(1).map((character, i) => part[i] + character) : [part]);
"""

    def split(self, input):
        """The Latin words of a text, and the pairs of neighbouring Chinese characters."""
        runs = re.findall(r"[\u4e00-\u9fff]+", input)
        return [*super().split(input), *(run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1)))]


def link_other_language(app, pagename, templatename, context, doctree):
    """The address of a page in the other language; its home page where this page has no translation."""
    if app.config.language == CHINESE:
        page = f"../{pagename}.html"
    else:
        page = f"{FOLDER}/{pagename if has_translation(pagename) else 'index'}.html"
    context["other_language"] = context["pathto"](page, True)


def configure_chinese(app, config):
    """The Chinese site takes the examples as the English build left them, and has no index of the API."""
    config.plot_gallery = False
    config.html_use_index = config.html_domain_indices = False
    config.html_theme_options |= {"search_bar_text": "搜索 ..."}
    config.html_baseurl = config.html_baseurl and f"{config.html_baseurl}{FOLDER}/"


def drop_timing(app, docname, source):
    """How long an example ran is no message that a catalogue could hold."""
    if app.config.language == CHINESE or app.builder.name == "gettext":
        source[0] = _TIMING.sub("", source[0])


def setup(app):
    app.connect("html-page-context", link_other_language)
    app.connect("source-read", drop_timing)
    if app.config.language == CHINESE:
        app.connect("config-inited", configure_chinese, priority=1)
        app.add_builder(TranslatedPagesBuilder, override=True)
        app.add_search_language(PairsOfCharacters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
