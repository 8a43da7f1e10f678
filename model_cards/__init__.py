"""Cards that ship with the package: templates by family and for corpora, a finished one, notes on checkpoints."""
