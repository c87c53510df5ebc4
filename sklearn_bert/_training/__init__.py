"""Text batches in, a trained module out. The only folder that knows skorch."""
