"""A fitted estimator on disk, and back."""
