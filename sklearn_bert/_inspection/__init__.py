"""Looking at a fit: explanations and training curves."""
