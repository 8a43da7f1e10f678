#!/usr/bin/env bash
# A LocalCluster of Dask gives a worker up for good that is being started anew. Fifteen seconds after a worker was gone
# (distributed.deploy.lost-worker-timeout) it looks whether the worker is there: not since when it is away. One that had
# come back at once, and is at that moment on its way back from another end of its process, has its nanny closed, and
# nothing starts it again: futures wait without end, the cluster says that it has no workers, and no error is raised.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv
venv/bin/pip install -q distributed==2026.8.0 dask==2026.8.0
cat > lost.py <<'PYTHON'
import logging
import os
import signal
import time

import dask
import distributed


def ends(*moments: float) -> list[int]:
    """Workers that a cluster of one has, 4 s after each end of its process and half a minute after the last."""
    seen = []
    quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, **quiet) as cluster:
        with distributed.Client(cluster) as client:
            began = time.monotonic()
            for moment in moments:
                time.sleep(max(0, began + moment - time.monotonic()))
                (process,) = client.run(os.getpid).values()
                os.kill(process, signal.SIGKILL)
                time.sleep(4)
                seen.append(len(client.scheduler_info()["workers"]))
            time.sleep(30)
            seen.append(len(client.scheduler_info()["workers"]))
    return seen


if __name__ == "__main__":
    print("distributed", distributed.__version__, dask.config.get("distributed.deploy.lost-worker-timeout"))
    print("workers after ends of its process at 1 s and 9 s, and half a minute later:", early := ends(1, 9))
    print("workers after ends of its process at 1 s and 15.8 s, and half a minute later:", late := ends(1, 15.8))
    raise SystemExit(0 if early == [1, 1, 1] and late == [1, 0, 0] else 1)
PYTHON
timeout 300 venv/bin/python lost.py
