"""Where a run differs from what was published, read off its settings: nothing here is typed for a particular run."""

import dataclasses
from typing import Any

from mdjpt_hf.training.config import NOT_METHOD, OBJECTIVES, RunConfig, load_run_config

#: Objective -> settings that stand for the publication, and what is said of every run with it.
_PUBLISHED: dict[str, tuple[str, tuple[str, ...]]] = {
    "mdjpt": ("paper", ()),
    "masked": ("masked", ("Hu-style: the publication's abstract gives no numbers; every value is ours",)),
    "mdjpt+masked": (
        "paper",
        (
            "masked prediction (Hu-style, every value of it ours) beside the paper's losses",
            "windows start at multiples of a token",
        ),
    ),
}

#: Setting -> its value here (`new`) and in the publication (`old`) in words; others are told by their name.
_WORDS = {
    "steps": "{new:,} steps instead of {old:,}",
    "learning_rate": "learning rate {new:g} instead of {old:g}",
    "weight_decay": "weight decay {new:g} instead of {old:g}",
    "decay_share": "the learning rate falls to 0 over the last {new:.0%} of the steps instead of staying",
    "guided_share": "over the first {new:.0%} of the steps maps also learn to be alike as viewers' band power is in "
    "what they share, with a weight that falls to 0",
    "adam_betas": "Adam's betas {new[0]:g} and {new[1]:g} instead of {old[0]:g} and {old[1]:g}",
    "datasets_per_step": "{new} of the datasets in every step, drawn anew, instead of all",
    "pairs_per_dataset": "{new} draws of subjects of every dataset in a step instead of {old}",
    "viewers": "{new} subjects aligned at once, each two of them a pair, instead of {old}",
    "clips": "{new} of the stimuli that they share in every step, drawn anew, instead of all",
    "aligned_pairs": "windows of a pair from other moments of the clip instead of the same",
    "pairs_across": "viewers of different corpora that show the same clips are paired as well ({new}), not only of one",
    "contrastive_temperature": "contrastive temperature {new:g} instead of {old:g}",
    "isa_weight": "weight {new:g} of the inter-subject alignment instead of {old:g}",
    "cda_weight": "weight {new:g} of the covariance alignment instead of {old:g}",
    "ffn_norm": "no LayerNorm before the feed-forward (the MLLA paper has one, the authors' program does not use it)",
    "block": "the block of the authors' program, without attention, instead of the paper's",
    "covariance": "alignment of {new} (released: the authors' program's product) in place of covariances",
}

#: Of the network's configuration: what does not bear on pre-training, or follows from another setting.
_NOT_NETWORK = {
    *("format_version", "package_version", "standardised_head", "streaming", "group_mode", "isa_pairs"),
    *("classifier_hidden_sizes", "classifier_dropout"),
}


def departures(config: RunConfig) -> tuple[str, ...]:
    """Every difference that the weights depend on, a line each; the network's sizes share one."""
    preset, always = _PUBLISHED[config.objective]
    published = load_run_config(preset)
    run = [entry.name for entry in dataclasses.fields(RunConfig) if entry.name not in NOT_METHOD]
    found = {name: (getattr(published, name), getattr(config, name)) for name in run}
    lines = [_line(name, old, new) for name, (old, new) in found.items() if old != new]
    network = _differing_network(config, published)
    sizes = [f"{name} {new} instead of {old}" for name, (old, new) in network.items() if name not in _WORDS]
    lines += [_line(name, old, new) for name, (old, new) in network.items() if name in _WORDS]
    lines += [f"masked.{name} {new} instead of {old}" for name, (old, new) in _differing_masked(config, published)]
    return (*always, *([f"network: {', '.join(sizes)}"] if sizes else []), *lines)


def _line(name: str, old: Any, new: Any) -> str:
    return _WORDS.get(name, name + " {new} instead of {old}").format(old=old, new=new)


def _differing_network(config: RunConfig, published: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Field of the network's configuration -> (published, here)."""
    theirs, ours = published.model_config(), config.model_config()
    skipped = _NOT_NETWORK | ({"max_clusters"} if config.objective == "mdjpt+masked" else set())
    own = [name for name in OBJECTIVES[config.objective][0].own_fields() if name not in skipped]
    return {
        name: (getattr(theirs, name), getattr(ours, name))
        for name in own
        if getattr(theirs, name) != getattr(ours, name)
    }


def _differing_masked(config: RunConfig, published: RunConfig) -> list[tuple[str, tuple[Any, Any]]]:
    if config.objective != "masked":
        return []
    names = sorted(config.masked.keys() | published.masked.keys())
    pairs = [
        (name, (published.masked.get(name, "the default"), config.masked.get(name, "the default"))) for name in names
    ]
    return [(name, values) for name, values in pairs if values[0] != values[1]]
