"""scikit-learn's callbacks, which version 1.9 introduced. With an older version, only `set_callbacks` is missing."""

from contextlib import nullcontext

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class _NoCallbacks:
        """A callback context that does nothing."""

        def subcontext(self, *args, **kwargs):
            return self

        def call_on_fit_task_begin(self, **kwargs):
            """Call nothing, and return None, so that the fit does not stop."""

        call_on_fit_task_end = call_on_fit_task_begin

        def propagate_callback_context(self, estimator):
            return nullcontext()

    class CallbackSupportMixin:
        """Estimators without `set_callbacks`."""

        def _init_callback_context(self, **kwargs):
            return _NoCallbacks()

    def with_callbacks(method):
        """Return `method` unchanged: this scikit-learn has no callbacks."""
        return method
