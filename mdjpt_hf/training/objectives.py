"""The objectives by name."""

from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.training.alignment import AlignmentObjective
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.joint import JointObjective
from mdjpt_hf.training.masked import MaskedObjective
from mdjpt_hf.training.objective import Objective

PSEUDO_LABELS = "pseudo_labels"


def build_objective(
    config: RunConfig, trial_sets: Sequence[TrialSet], accelerator: Accelerator, output_dir: Path
) -> Objective:
    """The objective a run names; what it raises is said by its class."""
    if config.objective == "masked":
        return MaskedObjective(config, trial_sets, accelerator, output_dir / PSEUDO_LABELS)
    if config.objective == "mdjpt+masked":
        return JointObjective(config, trial_sets, accelerator, output_dir / PSEUDO_LABELS)
    return AlignmentObjective(config, trial_sets, accelerator)
