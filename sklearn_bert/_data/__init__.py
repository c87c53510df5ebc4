"""What the user passed, checked, and what y means. NumPy and scikit-learn, no torch."""
