#!/usr/bin/env bash
# datasets writes the floats of an EEG signal to Parquet through a dictionary of all values: the file is half as large
# again as the signal, whose samples hardly repeat. With use_dictionary=False pyarrow writes the signal's own size.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
import os

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

datasets.disable_progress_bars()
print("datasets", datasets.__version__, "pyarrow", pa.__version__)
signal = np.random.default_rng(0).normal(0, 20, (62, 60 * 125)).astype(np.float32).ravel()  # a minute of 62 channels
features = datasets.Features({"signal": datasets.LargeList(datasets.Value("float32"))})
trials = datasets.Dataset.from_list([{"signal": signal}] * 4, features=features)
trials.to_parquet("datasets.parquet", batch_size=1)
with pq.ParquetWriter("plain.parquet", features.arrow_schema, use_dictionary=False) as writer:
    for row in range(4):
        writer.write_table(trials.data.table.slice(row, 1))
sizes = {name: os.path.getsize(f"{name}.parquet") / (4 * signal.nbytes) for name in ("datasets", "plain")}
encodings = pq.ParquetFile("datasets.parquet").metadata.row_group(0).column(0).encodings
print(f"times the signal: {sizes}; encodings of datasets: {encodings}")
raise SystemExit(0 if sizes["datasets"] > 1.4 and sizes["plain"] < 1.1 and "RLE_DICTIONARY" in encodings else 1)
PYTHON
