"""Rows to windows to pairs to batches: prepared corpora, memory mapped, ready for the model."""
