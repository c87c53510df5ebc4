"""Bars above some tables of measurements, drawn from the tables themselves, so that both say the same.

The pictures are SVG in the page: their text has the colour of the page's text, light or dark.
"""

import re
from html import escape
from typing import NamedTuple

from docutils import nodes

_COLOURS = "#2f8fc4", "#f7931e", "#8a8f98", "#b39ddb", "#5aa469"
_WIDTH, _LEFT, _BAR = 480, 120, 14  # narrow, so that a telephone shows all of it with legible text


class Chart(NamedTuple):
    """Which cells of the first table of a section are drawn.

    Attributes
    ----------
    title : str
    rows, columns : list of int
        The first row below the heading is row 0; column 0 holds the names.
    by_row : bool
        Whether the bars of a group are a row of the table, or a column.
    one_scale : bool
        Whether bars of all groups are compared, or only those of a group.
    """

    title: str
    rows: list[int]
    columns: list[int]
    by_row: bool
    one_scale: bool = True


CHARTS = {
    ("accuracy", "a-few-hundred-rows"): Chart("Scores with 200 training rows", [0, 1, 3], [1, 2, 3, 4, 5], False),
    ("accuracy", "four-thousand-rows"): Chart(
        "Scores with up to 4,000 training rows", [0, 2, 4, 6, 8, 9], [1, 2, 3, 4], True
    ),
    ("accuracy", "time-to-accuracy"): Chart("Seconds until Trainer's score is reached", [0, 1, 2, 3], [3, 2], True),
    ("performance", "fit"): Chart("Seconds of a fit", [0, 1, 2, 3], [1, 3], False),
    ("performance", "predict"): Chart(
        "Texts per second in prediction", [0, 1, 2, 3, 4], [1, 3], False, one_scale=False
    ),
}


def draw_tables(app, doctree, docname):
    """Put the charts of a page above their tables."""
    if app.builder.format != "html":
        return
    for section in doctree.findall(nodes.section):
        charts = [CHARTS[docname, name] for name in section["ids"] if (docname, name) in CHARTS]
        tables = [child for child in section if isinstance(child, nodes.table)]
        for chart in charts:
            cells = [[entry.astext() for entry in row.findall(nodes.entry)] for row in tables[0].findall(nodes.row)]
            picture = nodes.raw("", _svg(chart, *_groups(chart, cells)), format="html")
            section.insert(section.index(tables[0]), picture)


def _groups(chart, cells):
    """Names of the series, and for each group its name and the numbers of its bars."""
    header, *rows = cells
    values = {(row, column): _number(rows[row][column]) for row in chart.rows for column in chart.columns}
    row_names, column_names = [rows[row][0] for row in chart.rows], [header[column] for column in chart.columns]
    if chart.by_row:
        groups = [[values[row, column] for column in chart.columns] for row in chart.rows]
        return column_names, list(zip(row_names, groups, strict=True))
    groups = [[values[row, column] for row in chart.rows] for column in chart.columns]
    return row_names, list(zip(column_names, groups, strict=True))


def _number(text):
    return float(re.search(r"\d+(\.\d+)?", text)[0])


def _svg(chart, series, groups):
    colours = [_COLOURS[k % len(_COLOURS)] for k in range(len(series))]
    parts, y = [], 18
    for name, colour in zip(series, colours, strict=True):
        parts.append(f'<rect y="{y - 10}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="16" y="{y}">{escape(_short(name))}</text>')
        y += 18
    for name, values in groups:
        largest = max(max(row) for _, row in groups) if chart.one_scale else max(values)
        y += 10
        middle = y + _BAR * len(values) / 2 + 4
        parts.append(f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{escape(_short(name))}</text>')
        for value, colour in zip(values, colours, strict=True):
            width = (_WIDTH - _LEFT - 50) * value / largest
            parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" fill="{colour}"/>')
            parts.append(f'<text x="{_LEFT + width + 5:.1f}" y="{y + 10}" font-size="11">{value:g}</text>')
            y += _BAR
    title = escape(chart.title)
    return (
        f"<figure><p><strong>{title}</strong></p>"
        f'<svg viewBox="0 0 {_WIDTH} {y + 8}" role="img" aria-label="{title}; the table below has the numbers" '
        f'font-size="13" fill="currentColor" '
        f'style="width: 100%; max-width: 600px">{"".join(parts)}</svg></figure>'
    )


def _short(name):
    """A name without what it says in parentheses or after a second comma."""
    return ",".join(re.sub(r" \(.*?\)", "", name).split(",")[:2])


def setup(app):
    app.connect("doctree-resolved", draw_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
