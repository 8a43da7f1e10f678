"""The table at the end of a demonstration run: pre-trained against random weights and differential entropy.

Measured on a simulated corpus the encoder never saw. All three see the same windows, splits and permutations. Nothing
is chosen on it; features are standardised per subject without labels, which uses the whole recording.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.labelled import LabelledWindows, labelled_windows
from mdjpt_hf.evaluation.comparison_protocols import few_shot, few_shot_splits, permuted_labels, zero_shot
from mdjpt_hf.evaluation.features import (
    Encoder,
    encoder_features,
    entropy_features,
    standardise_per_subject,
)
from mdjpt_hf.evaluation.scores import Interval, null_interval, subject_bootstrap, subject_scores

PROTOCOL = {
    "windows": "5 s without overlap",
    "access to the target": "unlabelled recordings for normalisation; labels of a quarter of its subjects for few-shot",
    "normalisation": "encoder: mdJPT by groups over each recording, masked EEG each window alone; "
    "all features: z-score per subject",
    "zero-shot": "cosine nearest neighbours among all windows of the corpus, own trial or own stimulus left out",
    "few-shot": "ridge regression of the classes on 1/4 of the subjects, tested on the others, strength by two folds "
    "over the training subjects; new stimuli: tested stimuli were not trained on either",
    "checkpoint": "the last step",
    "smoothing": "none",
    "intervals": "95 % percentile bootstrap over subjects",
    "null": "classes permuted over stimuli, the same protocol repeated, its own splits included; mean and central 95 %",
}


@dataclass(frozen=True)
class Settings:
    """How much is computed; the protocol itself is fixed."""

    zero_shot_permutations: int = 500
    few_shot_permutations: int = 20
    few_shot_splits: int = 4
    seed: int = 0


def compare(trials: TrialSet, encoders: dict[str, Encoder], settings: Settings | None = None) -> dict[str, Any]:
    """Score every encoder, and differential entropy, under every protocol.

    Args:
        trials (`TrialSet`): The corpus nobody was trained on.
        encoders (`dict[str, Encoder]`): By the name used in the table; the first is compared with all others.
        settings (`Settings`, *optional*): Numbers of permutations and splits.

    Returns:
        `dict`: A record in plain JSON: protocol, scores per subject, intervals, nulls and paired differences.
    """
    settings = settings or Settings()
    first = next(iter(encoders.values()))
    windows = labelled_windows(trials, first.config.window_seconds)
    features = {name: encoder_features(model, windows) for name, model in encoders.items()}
    features["DE"] = entropy_features(windows)
    features = {name: standardise_per_subject(values, windows.subject) for name, values in features.items()}
    with threadpool_limits(1):  # thousands of small matrices: threads would mostly wait for each other
        scores = {
            protocol: {name: _score(run, values, windows, settings) for name, values in features.items()}
            for protocol, run in _protocols(windows, settings).items()
        }
    return _record(trials, windows, scores, settings)


_Run = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _protocols(windows: LabelledWindows, settings: Settings) -> dict[str, tuple[_Run, int]]:
    """Every row of the table: a function of (features, labellings), and its number of permutations."""
    runs: dict[str, tuple[_Run, int]] = {}
    for exclude in ("trial", "stimulus"):
        for neighbours in (1, 10):

            def run(values, labels, neighbours=neighbours, exclude=exclude):
                return zero_shot(values, windows, labels, neighbours, exclude)

            runs[f"zero-shot {neighbours}-NN, {exclude} excluded"] = (run, settings.zero_shot_permutations)
    for title, new_stimuli in (("shared stimuli", False), ("new stimuli", True)):

        def run_few_shot(values, labels, new_stimuli=new_stimuli):
            count, seed = settings.few_shot_splits, settings.seed
            if new_stimuli:
                splits = [few_shot_splits(windows, labelling, count, seed, True) for labelling in labels]
            else:  # by subject alone, whatever the labels
                splits = [few_shot_splits(windows, labels[0], count, seed, False)] * len(labels)
            return few_shot(values, windows, labels, splits)

        runs[f"few-shot, {title}"] = (run_few_shot, settings.few_shot_permutations)
    return runs


def _score(protocol: tuple[_Run, int], values: np.ndarray, windows: LabelledWindows, settings: Settings) -> np.ndarray:
    """`(1 + permutations, subjects)`: the true labelling first."""
    run, permutations = protocol
    labels = permuted_labels(windows, permutations, settings.seed)
    return subject_scores(run(values, labels), windows.subject)


def _record(trials: TrialSet, windows: LabelledWindows, scores, settings: Settings) -> dict[str, Any]:
    rows = {}
    for protocol, by_name in scores.items():
        reference = next(iter(by_name))
        rows[protocol] = {
            name: {
                "score": asdict(subject_bootstrap(values[0])),
                "null": asdict(null_interval(np.nanmean(values[1:], axis=-1))),
                "per_subject": [None if np.isnan(score) else round(float(score), 6) for score in values[0]],
                **_difference(by_name[reference][0] - values[0], name == reference),
            }
            for name, values in by_name.items()
        }
    return {
        "corpus": trials.name,
        "subjects": np.unique(windows.subject).tolist(),
        "windows": len(windows),
        "stimuli": len(np.unique(windows.stimulus)),
        "classes": list(trials.label_names),
        "protocol": PROTOCOL,
        "settings": asdict(settings),
        "results": rows,
    }


def _difference(paired: np.ndarray, is_reference: bool) -> dict[str, Any]:
    return {} if is_reference else {"reference_minus_this": asdict(subject_bootstrap(paired))}


def render(record: dict[str, Any]) -> str:
    """The record as a Markdown table; "simulated" stands in its title."""
    names = list(next(iter(record["results"].values())))
    title = (
        f"Simulated data: accuracy on {record['corpus']} ({len(record['subjects'])} simulated subjects never seen, "
        f"{len(record['classes'])} classes, {record['windows']} windows)"
    )
    head = ["protocol", *names, "null (" + names[0] + ")", *(f"{names[0]} − {name}" for name in names[1:])]
    lines = [title, "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for protocol, row in record["results"].items():
        cells = [protocol, *(str(Interval(**row[name]["score"])) for name in names)]
        cells.append(str(Interval(**row[names[0]]["null"])))
        cells += [_signed(Interval(**row[name]["reference_minus_this"])) for name in names[1:]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
