"""Progress bars of a fit and of a long prediction, and lines that are printed without breaking them.

The bars are text in notebooks too: tqdm's widgets warn without ipywidgets, and exported notebooks do not show them.
In notebooks they are written to stdout: stderr is shown as an error, in a separate block that other output splits.
"""

import sys
from textwrap import fill

from tqdm import tqdm

_INTERVAL = 0.5  # seconds between two updates of a bar
_PATIENCE = 2  # seconds that a prediction may take before it shows a bar


def training_bar(n_rows, n_epochs, n_done):
    """A bar over `n_epochs` epochs of `n_rows` texts each; `n_done` epochs are already done."""
    return _bar("fit", n_rows * n_epochs, True, initial=n_rows * n_done)


def prediction_bar(n_rows, verbose):
    """A bar over the texts, which appears only if they take more than two seconds, and disappears when it is full."""
    return _bar("predict", n_rows, verbose, delay=_PATIENCE, leave=False)


def _bar(name, total, verbose, **settings):
    file = sys.stdout if type(sys.stdout).__module__ == "ipykernel.iostream" else sys.stderr
    return tqdm(
        desc=name, total=total, unit=" texts", disable=not verbose, mininterval=_INTERVAL, file=file, **settings
    )


def write_line(text):
    """Print a line above the bar."""
    tqdm.write(str(text))


def write_folded(text):
    """Print a sentence in lines that fit in a terminal of 80 columns."""
    write_line(fill(text, width=80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False))
