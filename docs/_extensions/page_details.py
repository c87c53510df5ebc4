"""Details of pages: descriptions for search engines and previews, numbers on one line, links to parameters."""

import inspect
import re
from html import escape
from importlib.metadata import metadata

from docutils import nodes
from sphinx import addnodes

import sklearn_bert

_NUMBER = re.compile(r"[-+~<>]?\d[\d.,]*( ?(±|to) ?\d[\d.,]*)?( ?(%|s|ms|MB|MiB|texts/s|times|GFLOP/s))?")
_GAP = re.compile(r"(?<=\d) (?=(±|%|s|ms|MB|MiB|GB)(?!\w))|(?<=±) (?=\d)")  # where no line may end
_TEXTS_WITH_PARAMETERS = {  # page: where the names of parameters are links
    "api": nodes.entry,
    "first_parameters": nodes.entry,
    "how_it_works": (nodes.entry, nodes.paragraph),
}


def describe(app, pagename, templatename, context, doctree):
    """Add the description of a page, and what a preview of a link to it shows (Open Graph)."""
    paragraphs = doctree.findall(nodes.paragraph) if doctree else []
    first = next((p for p in paragraphs if not isinstance(p.parent, nodes.Admonition)), None)
    text = " ".join(first.astext().split()) if first else metadata("sklearn-bert")["Summary"]
    if len(text) > 200:
        text = text[:200].rsplit(" ", 1)[0] + " ..."
    project = app.config.project
    tags = {"og:title": context.get("title", project), "og:description": text}
    tags |= {"og:type": "website", "og:site_name": project}
    if app.config.html_baseurl:  # these need whole addresses
        tags["og:url"] = context["pageurl"]
        tags["og:image"] = f"{app.config.html_baseurl}_static/front_page_light.png"
    lines = [f'<meta name="description" content="{escape(text)}">']
    lines += [f'<meta property="{name}" content="{escape(re.sub("<.*?>", "", tags[name]))}">' for name in tags]
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def mark_numbers(app, doctree, docname):
    """Give cells that hold a number only the class "number"."""
    for entry in doctree.findall(nodes.entry):
        if _NUMBER.fullmatch(entry.astext().strip()):
            entry["classes"].append("number")


def keep_numbers_whole(app, doctree, docname):
    """Put spaces that do not break between a number and its deviation or unit."""
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, nodes.literal | nodes.FixedTextElement):
            text.parent.replace(text, nodes.Text(_GAP.sub("\N{NO-BREAK SPACE}", text)))


def name_parameters(app, doctree, docname):
    """Give the parameters of classes an anchor, such as BertClassifier.max_length."""
    for description in doctree.findall(addnodes.desc):
        if description["objtype"] != "class":
            continue
        name = description[0]["fullname"]
        fields = [field for child in description[-1] if isinstance(child, nodes.field_list) for field in child]
        for field in fields:
            if field[0].astext() == "Parameters":
                [parameters] = [child for child in field[1] if isinstance(child, nodes.definition_list)]
                for item in parameters:
                    item[0]["ids"].append(f"{name}.{item[0].next_node(nodes.strong).astext()}")


def link_parameters(app, doctree, docname):
    """Make the names of parameters on some pages links to their descriptions."""
    if docname not in _TEXTS_WITH_PARAMETERS:
        return
    for estimator in (sklearn_bert.BertClassifier, sklearn_bert.BertRegressor):
        page = app.builder.get_relative_uri(docname, f"api/sklearn_bert.{estimator.__name__}")
        names = inspect.signature(estimator).parameters
        for text in list(doctree.findall(lambda node: isinstance(node, _TEXTS_WITH_PARAMETERS[docname]))):
            for literal in list(text.findall(nodes.literal)):
                name = literal.astext()
                if name in names and not isinstance(literal.parent, nodes.reference):
                    link = nodes.reference("", "", refuri=f"{page}#{estimator.__name__}.{name}", internal=True)
                    literal.replace_self(link)
                    link.append(literal)


def drop_citations(app, doctree, docname):
    """Remove citations from the first lines of docstrings in the overview: their list is on the page of the class."""
    if docname == "api":
        for reference in list(doctree.findall(nodes.reference)):
            if re.fullmatch(r"\[R[0-9a-f]+-\d+\]", reference.astext()):
                reference.parent.remove(reference)


def setup(app):
    app.connect("html-page-context", describe)
    app.connect("doctree-resolved", mark_numbers)
    app.connect("doctree-resolved", keep_numbers_whole)
    app.connect("doctree-resolved", name_parameters)
    app.connect("doctree-resolved", link_parameters)
    app.connect("doctree-resolved", drop_citations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
