"""Texts to padded batches of token ids."""
