"""Evaluation that says what it did: features, protocols, permutation nulls, intervals over subjects."""
