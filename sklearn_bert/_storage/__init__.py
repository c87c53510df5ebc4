"""Saving fitted estimators and loading them."""
