"""Whether clustering's memory grows with the corpus: `python benchmarks/clustering.py`.

Clusters the tokens of noise as a first round does (differential entropy, whitened components, three granularities),
once for a corpus and once for one ten times larger, each in a fresh process on one core. Printed is the most memory of
its own that the process held beyond what it held before, and the time per hour of signal. Files mapped from disk are
not counted: the system takes their memory back when it needs it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.training.clustering.codebook import ClusteringSettings
from mdjpt_hf.training.clustering.features import entropy_per_token
from mdjpt_hf.training.clustering.labels import cluster_tokens, open_labels

RATE, TOKEN, WINDOW = 125.0, 25, 625
TRIAL_SECONDS, TRIALS_PER_SUBJECT = 60, 15


class Noise(TrialSet):
    """Trials that are made when they are asked for, so that only clustering takes memory."""

    def window(self, trial: int, start: int, length: int) -> np.ndarray:
        """`(60, length)` float32, the same at every call."""
        rng = np.random.default_rng([trial, start])
        return rng.standard_normal((60, length), dtype=np.float32)


def noise(subjects: int) -> Noise:
    """A quarter of an hour for each subject."""
    count = subjects * TRIALS_PER_SUBJECT
    zeros = np.zeros(count, dtype=int)
    return Noise(
        name="noise",
        folder=Path("."),
        rows=np.arange(count),
        subject=np.array([f"s{number // TRIALS_PER_SUBJECT:04d}" for number in range(count)]),
        session=zeros,
        trial=np.arange(count) % TRIALS_PER_SUBJECT,
        stimulus=np.array([f"clip{number % TRIALS_PER_SUBJECT}" for number in range(count)]),
        label=zeros,
        emotion=zeros,
        valence_class=zeros,
        ratings=np.zeros((count, 4), dtype=np.float32),
        n_samples=np.full(count, round(TRIAL_SECONDS * RATE)),
        sampling_rate=RATE,
        ch_names=[("Cz",)] * count,
    )


class Peak:
    """The most memory of its own that this process holds while it runs, in MiB, looked at every 20 ms."""

    def __enter__(self) -> "Peak":
        self.before = self.most = own_memory()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.stop.wait(0.02):
            self.most = max(self.most, own_memory())


def own_memory() -> float:
    """MiB, without files mapped from disk."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def measure(subjects: int) -> dict[str, float]:
    """Cluster once; run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Peak() as peak:
            index = TokenIndex([noise(subjects)], TOKEN, WINDOW)
            path = Path(folder) / "labels.npy"
            cluster_tokens(index, entropy_per_token(RATE, TOKEN), path, ClusteringSettings(batches=50), seed=0)
            clusters = len(np.unique(open_labels(path)[:, 0]))
        seconds = time.perf_counter() - started
    hours = subjects * TRIALS_PER_SUBJECT * TRIAL_SECONDS / 3600
    figures = {"hours": hours, "tokens": index.num_tokens, "own": peak.most - peak.before}
    return {**figures, "seconds_per_hour": seconds / hours, "clusters": clusters}


def main() -> None:
    """Measure both sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=4, help="of the smaller corpus; the larger has ten times more")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    for subjects in (arguments.subjects, 10 * arguments.subjects):
        command = ["env", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", sys.executable, __file__]
        done = subprocess.run([*command, "--measure", str(subjects)], check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{figures['hours']:.0f} h, {figures['tokens']:,} tokens: own memory {figures['own']:+.0f} MiB at most, "
            f"{figures['seconds_per_hour']:.1f} s per hour of signal, {figures['clusters']} clusters"
        )


if __name__ == "__main__":
    main()
