"""The PyTorch module, and where its weights come from. No scikit-learn, no skorch."""
