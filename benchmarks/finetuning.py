"""Classifiers that fit: `python benchmarks/finetuning.py RUN [RUN ...]`, each the folder of a finished default run.

On the corpus that a run's encoder never saw, a share of the subjects is labelled and the others are tested, several
times. With the same encoder, windows and subjects:

- `few-shot`: ridge regression on features z-scored over each subject, as the table of the default run has it;
- `head`, `full`, `lora`: what `mdjpt finetune` makes of the labelled subjects, of whom its own validation subjects are
  drawn; nobody who is tested chooses anything;
- `head, raw`, `head, layer norm`, `head, batch norm`, `head, per recording`: other ways to give the head its features,
  300 steps each.

Accuracy is the mean over tested subjects; simulated data.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.targets import find_target
from mdjpt_hf.evaluation.readout import Ridge
from mdjpt_hf.evaluation.scores.statistics import subject_bootstrap
from mdjpt_hf.finetuning.scores import recording_features, side_score
from mdjpt_hf.finetuning.train import _TRAINERS, FinetuneConfig, _load
from mdjpt_hf.finetuning.windows import LabelledDataset, split_subjects
from mdjpt_hf.modeling.task_head_mdjpt import TaskHead

UNSEEN = "sim-30"
NORMALISATIONS = ("raw", "layer norm", "batch norm", "per recording", "training windows")


@dataclass
class Task:
    """One run's encoder, its unseen corpus, and who of it is labelled."""

    run: str
    windows: LabelledDataset
    labelled: np.ndarray
    tested: np.ndarray
    seed: int


def main() -> None:
    """Print a table of accuracies, and every difference from few-shot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folders of default runs")
    parser.add_argument("--share", type=float, default=0.5, help="of the subjects that are labelled")
    parser.add_argument("--draws", type=int, default=2, help="of who is labelled, for each run")
    parser.add_argument("--methods", nargs="*", default=["head", "full", "lora"])
    arguments = parser.parse_args()
    found: dict[str, list[np.ndarray]] = {}
    for task in _tasks(arguments):
        scores = {"few-shot": _few_shot(task), **_normalisations(task)}
        scores |= {method: _finetuned(task, method) for method in arguments.methods}
        for name, values in scores.items():
            found.setdefault(name, []).append(values)
            print(f"{Path(task.run).name}, draw {task.seed}, {name}: {values.mean():.3f}", flush=True)
    print("\n| on the same held-out subjects (simulated) | accuracy | minus few-shot |\n|---|---|---|")
    reference = np.concatenate(found["few-shot"])
    for name, parts in found.items():
        values = np.concatenate(parts)
        gap = subject_bootstrap(values - reference)
        print(f"| {name} | {values.mean():.3f} | {gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] |")


def _tasks(arguments: argparse.Namespace) -> list[Task]:
    tasks = []
    for run in arguments.runs:
        data = next(path for path in (Path(run) / "data", Path(run).parent / "data") if path.exists())
        trials = [one for one in open_corpora([data]) if one.name == UNSEEN]
        windows = LabelledDataset(trials, find_target(trials, "label"), 5.0, 5.0)
        for seed in range(arguments.draws):
            labelled = split_subjects(windows.subject, windows.label, arguments.share, seed)
            tasks.append(Task(run, windows, np.flatnonzero(labelled), np.flatnonzero(~labelled), seed))
    return tasks


def _config(task: Task, method: str, out: str) -> FinetuneConfig:
    return FinetuneConfig(model=task.run, data=(UNSEEN,), output_dir=out, method=method, seed=task.seed)


def _features(task: Task) -> np.ndarray:
    model = _load(_config(task, "head", ""), task.windows.target)
    return recording_features(model, task.windows, np.arange(len(task.windows))).numpy()


def _few_shot(task: Task) -> np.ndarray:
    features = _standardised(_features(task), task.windows.subject)
    label, people = task.windows.label, task.windows.subject[task.labelled]
    fold, right = np.isin(people, np.unique(people)[::2]), 0
    for part in (fold, ~fold):
        guesses = _ridge(features, label, task.labelled[part], task.labelled[~part])
        right = right + (guesses == label[task.labelled[~part]]).sum(axis=1)
    guesses = _ridge(features, label, task.labelled, task.tested)[int(np.argmax(right))]
    return _per_subject(task, guesses == label[task.tested])


def _ridge(features: np.ndarray, label: np.ndarray, train: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Classes by every strength, `(strengths, asked)`."""
    return Ridge(features[train]).values(np.eye(label.max() + 1)[label[train]], features[asked]).argmax(axis=-1)


def _standardised(features: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """z-scores over the windows of each owner, without labels."""
    found = np.empty_like(features, dtype=np.float64)
    for name in np.unique(owner):
        own = features[owner == name]
        found[owner == name] = (own - own.mean(axis=0)) / (own.std(axis=0) + 1e-9)
    return found


def _per_subject(task: Task, correct: np.ndarray) -> np.ndarray:
    people = task.windows.subject[task.tested]
    return np.array([correct[people == name].mean() for name in np.unique(people)])


def _finetuned(task: Task, method: str) -> np.ndarray:
    """What `mdjpt finetune` gives, its validation subjects drawn from those labelled."""
    subject, label = task.windows.subject[task.labelled], task.windows.label[task.labelled]
    validates = split_subjects(subject, label, 0.2, task.seed)
    parts = (task.labelled[~validates], task.labelled[validates])
    with tempfile.TemporaryDirectory() as folder:
        config = _config(task, method, folder)
        torch.manual_seed(task.seed)
        model, _ = _TRAINERS[method](config, _load(config, task.windows.target), task.windows, parts)
        return np.array(side_score(model, task.windows, task.tested)["per_subject"])


def _normalisations(task: Task) -> dict[str, np.ndarray]:
    features = _features(task)
    classes = len(task.windows.target.names)
    return {f"head, {name}": _head(task, features, classes, name) for name in NORMALISATIONS}


def _head(task: Task, features: np.ndarray, classes: int, normalisation: str) -> np.ndarray:
    torch.manual_seed(task.seed)
    if normalisation == "per recording":
        features = _standardised(features, task.windows.recording)
    values = torch.tensor(features, dtype=torch.float32)
    head = TaskHead(values.shape[1], (128, 64), 0.1, classes, standardises=normalisation == "training windows")
    head.fit_statistics(values[task.labelled]) if head.standardises else None
    first = {"layer norm": nn.LayerNorm(values.shape[1]), "batch norm": nn.BatchNorm1d(values.shape[1], affine=False)}
    network = nn.Sequential(first.get(normalisation, nn.Identity()), head)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, weight_decay=2.2e-3)
    labels, rng = torch.tensor(task.windows.label), np.random.default_rng(task.seed)
    network.train()
    for _ in range(300):
        batch = rng.choice(task.labelled, 64, replace=False)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(values[batch]), labels[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        answers = network.eval()(values[task.tested]).argmax(dim=-1)
    return _per_subject(task, (answers == labels[task.tested]).numpy().astype(float))


if __name__ == "__main__":
    main()
