"""A pre-trained encoder becomes a classifier of labelled corpora: targets and windows, then training."""
