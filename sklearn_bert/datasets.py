"""The data set of the examples, which is part of the package: it needs no path and no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_TICKETS = Path(__file__).parent / "data" / "tickets.csv"


def load_tickets() -> pd.DataFrame:
    """Load 448 invented messages to a bicycle shop, each with a team, six tags and an urgency.

    It needs pandas. The messages were written for this project, see ``data/tickets.md`` in the package.

    Returns
    -------
    tickets : pandas.DataFrame of shape (448, 9)
        ``message`` : str, 6 to 90 words.
        ``team`` : str, the team that answers: billing, delivery, product, account or workshop.
        ``refund_wanted``, ``angry``, ``repeat_contact``, ``deadline``, ``cancel_threat``, ``grateful`` : int,
        1 where the message has the tag, otherwise 0.
        ``urgency`` : float from 0 to 10.

    Examples
    --------
    >>> from sklearn_bert.datasets import load_tickets
    >>> load_tickets().shape
    (448, 9)
    """
    import pandas as pd

    return pd.read_csv(_TICKETS, keep_default_na=False)
