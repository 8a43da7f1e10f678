"""What covariance alignment changes: `python benchmarks/second_order.py outputs/claims/seed-81`.

For the arms of `benchmarks/claims.py` that differ in the weight of their second-order loss, and for their common start:
how far people of different corpora are apart in the covariances Γ that the loss compares, in units of how far people
of one corpus are. 1 is no shift between corpora. Beside it stand the same of correlations, which is all that the group
normalisation behind the map lets through, and how large Γ is, since a loss of distances is also smaller where
everything is small. Every person counts as in a step: windows of a recording, normalised together.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from claims import SECOND_ORDER, UNSEEN
from transformers import AutoModel

from mdjpt_hf import MDJPTModel
from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.labelled import all_windows
from mdjpt_hf.data.windows import read_windows
from mdjpt_hf.modeling.objectives_mdjpt import group_covariances

SECONDS, WINDOWS = 5.0, 64  # of a recording
#: As the loss sees Γ, and as the layers behind it do.
KINDS = {"covariances": "true", "correlations": "correlation"}


class Spread(NamedTuple):
    """Mean distance between people of one corpus and of different ones, and the mean size of their Γ."""

    within: float
    between: float
    size: float

    @property
    def shift(self) -> float:
        """In units of the distance between people."""
        return self.between / self.within


def main() -> None:
    """Print a row for every arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path, help="a finished seed of benchmarks/claims.py")
    parser.add_argument("--unseen", action="store_true", help="count the corpus that nobody was trained on as well")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folders = sorted(folder for folder in (arguments.world / "data").iterdir() if folder.is_dir())
    corpora = open_corpora([folder for folder in folders if arguments.unseen or folder.name != UNSEEN])
    arms = [name for name in SECOND_ORDER if (arguments.world / name / "run_record.json").exists()]
    print(f"simulated data, {', '.join(corpus.name for corpus in corpora)}; {WINDOWS} windows of each person")
    print("| arm | Γ: between corpora / between people | size of Γ | correlations: the same | size |")
    print("|---|---|---|---|---|")
    for name, model in [("start", untrained(arguments.world / arms[0])), *((arm, None) for arm in arms)]:
        found = spreads(model or AutoModel.from_pretrained(arguments.world / name).eval(), corpora)
        print(f"| {name} | " + " | ".join(f"{one.shift:.2f} | {one.size:.3g}" for one in found) + " |", flush=True)


def untrained(folder: Path) -> MDJPTModel:
    """The network of an arm with fresh weights."""
    torch.manual_seed(0)
    return MDJPTModel(AutoModel.from_pretrained(folder).config).eval()


@torch.no_grad()
def spreads(model: MDJPTModel, corpora: list[TrialSet]) -> list[Spread]:
    """Of every kind of Γ, over the first recording of every person."""
    people = [(number, values) for number, corpus in enumerate(corpora) for values in recordings(corpus)]
    maps = []
    for _, values in people:
        group = torch.zeros(len(values), dtype=torch.long)
        maps.append((model(values, group).channel_features, group))
    owner = np.array([number for number, _ in people])
    return [spread(torch.cat([group_covariances(*one, kind) for one in maps]), owner) for kind in KINDS.values()]


def recordings(corpus: TrialSet) -> list[torch.Tensor]:
    """Windows `(windows, 60, samples)` of every person, spread evenly over the first recording."""
    windows = all_windows(corpus, SECONDS)
    found = []
    for subject in np.unique(windows.subject):
        own = np.flatnonzero(windows.subject == subject)
        own = own[windows.recording[own] == windows.recording[own[0]]]
        chosen = own[np.linspace(0, len(own) - 1, min(WINDOWS, len(own))).round().astype(int)]
        found.append(torch.from_numpy(read_windows(windows.trials, windows.index, chosen)))
    return found


def spread(gammas: torch.Tensor, owner: np.ndarray) -> Spread:
    """Of Γ `(people, features, channels, channels)`; distances as in the loss, a norm for each feature."""
    flat = gammas.flatten(2).transpose(0, 1)
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").sum(dim=0).numpy()
    same = owner[:, None] == owner
    others = ~np.eye(len(owner), dtype=bool)
    size = float(flat.norm(dim=-1).sum(dim=0).mean())
    return Spread(float(distances[same & others].mean()), float(distances[~same].mean()), size)


if __name__ == "__main__":
    main()
