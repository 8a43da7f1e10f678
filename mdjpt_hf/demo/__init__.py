"""A web page that reads emotion out of a recording, on this machine or as a Space.

`recognition`, `evidence`, `figures` and `app` need nothing of this package: a Space holds copies of them, and the model
brings its own code.
"""
