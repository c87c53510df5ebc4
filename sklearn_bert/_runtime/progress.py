"""What is shown of a fit and of a long prediction, and what scikit-learn's callbacks are told of each epoch.

The two ways in which somebody outside watches a training.
"""

from tqdm.auto import tqdm

_INTERVAL = 0.5  # seconds between two looks of a bar
_PATIENCE = 2  # seconds that a prediction may take before it shows a bar


def training_bar(n_rows, n_epochs, n_done, verbose):
    """A bar over the texts of all epochs, with loss and validation score; one that shows nothing if `verbose` is 0."""
    return _bar("fit", n_rows * n_epochs, verbose, initial=n_rows * n_done)


def prediction_bar(n_rows, verbose):
    """A bar over the texts, which shows only when it takes long, and goes when it is full."""
    return _bar("predict", n_rows, verbose, delay=_PATIENCE, leave=False)


def _bar(name, total, verbose, **settings):
    return tqdm(desc=name, total=total, unit=" texts", disable=not verbose, mininterval=_INTERVAL, **settings)


def write_line(text):
    """Print a line without tearing a bar."""
    tqdm.write(str(text))


class EpochTasks:
    """scikit-learn's callbacks on an estimator, told of each epoch of its fit as of a task.

    Parameters
    ----------
    estimator : BaseBertEstimator
    context : sklearn.callback.CallbackContext
        Of the whole fit.
    data : dict
        ``X``, ``y`` and ``metadata`` as the user gave them.
    fitted_by : callable
        Gives the fitted attributes that a net stands for: what an estimator needs to predict between epochs.
    """

    def __init__(self, estimator, context, data, fitted_by):
        self.estimator, self.context, self.data, self.fitted_by = estimator, context, data, fitted_by

    def begin(self):
        """An epoch begins."""
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end(self, net):
        """An epoch has ended; whether a callback asks to stop."""
        return self.task.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=lambda: self.fitted_by(net)
        )
