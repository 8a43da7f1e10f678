#!/usr/bin/env bash
# datasets gives whole numbers other whole numbers: class_encode_column sorts the values of a column as texts, so of the
# films 0 to 14 film 10 becomes 2 and film 2 becomes 7, in a column that is of integers before and after. Ratings of 1 to
# 10 get 10 between 1 and 2. What joins the column to a list of films by its number, or takes differences of ratings, is
# wrong from then on. Where all have one digit their order stands, and int2str knows the old value. That texts are put in
# the order of the alphabet is known upstream (datasets 3762).
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
HF_HOME="$place" HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
import warnings

import datasets
import numpy as np

datasets.disable_progress_bars()
print("datasets", datasets.__version__)
found = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for column, values in {"film": range(15), "rating": range(1, 11), "class": range(5)}.items():
        encoded = datasets.Dataset.from_dict({column: list(values)}).class_encode_column(column)
        found[column] = encoded[column][:]
        print(f"{column} {list(values)}\n  becomes {found[column]}")
    films = datasets.Dataset.from_dict({"film": list(range(15))}).class_encode_column("film")
valence = np.arange(15) % 3 - 1  # of each film, by its number
right = np.mean([valence[film] == valence[number] for number, film in enumerate(films["film"])])
print(f"films whose valence, looked up by the column, is right: {right:.0%};", end=" ")
print("of film 2 int2str says", films.features["film"].int2str(films[2]["film"]))
print("warnings:", [str(warning.message) for warning in caught])
same = found["class"] == list(range(5)) and films.features["film"].int2str(films[2]["film"]) == "2"
moved = found["film"][2] == 7 and found["film"][10] == 2 and found["rating"] == [0, 2, 3, 4, 5, 6, 7, 8, 9, 1]
raise SystemExit(0 if same and moved and not caught else 1)
PYTHON
