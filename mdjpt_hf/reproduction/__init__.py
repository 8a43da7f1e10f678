"""The leave-one-dataset-out table of arXiv 2510.22197 on whatever corpora are here, beside the published figures."""
