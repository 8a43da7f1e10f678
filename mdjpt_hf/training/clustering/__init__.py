"""Pseudo-labels for masked prediction: tokens of all corpora, clustered at several granularities."""
