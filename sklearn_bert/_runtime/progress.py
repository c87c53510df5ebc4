"""Progress bars of a fit and of a long prediction, and lines that do not tear them.

The bars are text in notebooks too: tqdm's widgets warn where ipywidgets is absent, and exported notebooks lack them.
There they are ordinary output: notebooks show stderr as an error, in a block of its own that later lines split.
"""

import sys
from textwrap import fill

from tqdm import tqdm

_INTERVAL = 0.5  # seconds between two updates of a bar
_PATIENCE = 2  # seconds that a prediction may take before it shows a bar


def training_bar(n_rows, n_epochs, n_done):
    """A bar over the `n_rows` texts of each of `n_epochs` epochs, of which `n_done` are done."""
    return _bar("fit", n_rows * n_epochs, True, initial=n_rows * n_done)


def prediction_bar(n_rows, verbose):
    """A bar over the texts, which appears only if they take long, and disappears when it is full."""
    return _bar("predict", n_rows, verbose, delay=_PATIENCE, leave=False)


def _bar(name, total, verbose, **settings):
    file = sys.stdout if type(sys.stdout).__module__ == "ipykernel.iostream" else sys.stderr
    return tqdm(
        desc=name, total=total, unit=" texts", disable=not verbose, mininterval=_INTERVAL, file=file, **settings
    )


def write_line(text):
    """Print a line without tearing a bar."""
    tqdm.write(str(text))


def write_folded(text):
    """Print a sentence in lines that fit in a terminal of 80 columns."""
    write_line(fill(text, width=80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False))
