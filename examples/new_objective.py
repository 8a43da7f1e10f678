"""
A new objective
===============

The training loop asks an objective for everything that is its own: the network, the batches, what is logged. To try
another loss on the same pairs of people, two short classes are enough. Here inter-subject alignment becomes that of
*Barlow Twins* (Zbontar et al. 2021): the correlations between the embeddings of two people who watch the same clips
should be the identity, which needs no negatives. The data are **simulated**.
"""

# %%
# The loss
# --------
# With :math:`C_{ij}` the correlation, over the windows of a step, between dimension :math:`i` of one half of the people
# and dimension :math:`j` of the other half,
#
# .. math:: L = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2.

from pathlib import Path

import matplotlib.pyplot as plt
import small
import torch

from mdjpt_hf import MDJPTForPreTraining, RunConfig
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.training.alignment import AlignmentObjective
from mdjpt_hf.training.checkpoint import CheckpointFolder
from mdjpt_hf.training.loop import Pretrainer, make_accelerator


def barlow_twins(first, second, weight=0.005):
    """Two views, `(windows, size)` each, as one scalar."""
    first, second = ((view - view.mean(0)) / (view.std(0) + 1e-6) for view in (first, second))
    correlations = first.T @ second / len(first)
    off = correlations - torch.diag(correlations.diagonal())
    return (1 - correlations.diagonal()).square().sum() + weight * off.square().sum()


# %%
# The network and the objective
# -----------------------------
# ``group_ids`` tell people apart, ``stimulus_ids`` the moments they share. Sorted by moment and then by person, every
# other window is of one half. The fields of the output stay, so that the loop logs them as before.


class BarlowTwins(MDJPTForPreTraining):
    """mdJPT's encoder and projector under another loss."""

    def _align(self, embeddings, channel_features, ids):
        group_ids, dataset_ids, stimulus_ids = ids
        order = torch.argsort(stimulus_ids * (group_ids.max() + 1) + group_ids)
        ordered = embeddings[order].float()
        loss = barlow_twins(ordered[0::2], ordered[1::2])
        none = torch.zeros(())
        terms = loss.detach().expand(len(embeddings))
        return loss, {"isa_loss": loss, "cda_loss": none, "isa_terms": terms}


class BarlowTwinsObjective(AlignmentObjective):
    """Pairs as mdJPT draws them."""

    def build_model(self):
        model_config = self.config.model_config()
        model_config.max_clusters = []
        return BarlowTwins(model_config)


# %%
# The run
# -------

config = RunConfig(
    name="barlow-twins",
    output_dir="outputs/examples/barlow_twins",
    model={"preset": "tiny", "ffn_norm": False},
    **{"steps": 12, "log_steps": 1, "learning_rate": 6e-3, "held_out_subjects": 0, "viewers": 4, "clips": 8},
    trackers=(),
)
accelerator = make_accelerator(config, config.output_dir)
accelerator.init_trackers("logs")
objective = BarlowTwinsObjective(config, open_corpora([small.corpus("sim-14")]), accelerator)
torch.manual_seed(0)
checkpoints = CheckpointFolder(Path(config.output_dir, "checkpoints"), config.key(1), keep=2)
trainer = Pretrainer(config, accelerator, objective, objective.build_model(), checkpoints)
trainer.train()

# %%
# Twelve steps on one corpus of a consumer headset.

losses = [(entry["step"], entry["loss"]) for entry in trainer.history if "loss" in entry]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(*zip(*losses, strict=True), marker="o")
axes.set(xlabel="step", ylabel="loss")
plt.show()
