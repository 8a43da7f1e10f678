"""The network and its input: self-contained files that travel with every checkpoint to the Hub.

Nothing here imports the rest of the package; torch, transformers, numpy and scipy are enough to run it.
"""
