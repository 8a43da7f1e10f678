"""Who is tested: windows with their labels, named choices, and the splits they draw."""

from mdjpt_hf.evaluation.protocols.choices import (
    CHOICES,
    OPTIMISTIC,
    PRESETS,
    Protocol,
    audit_stages,
    check_choices,
    default_protocols,
    honest,
    paper,
)
from mdjpt_hf.evaluation.protocols.designs import check_votes, fitting, lonely_classes
from mdjpt_hf.evaluation.protocols.drawing import draw_splits, pool_for
from mdjpt_hf.evaluation.protocols.pool import LABELS, Labelling, Pool, has_target, open_pool
from mdjpt_hf.evaluation.protocols.splits import (
    PROTOCOLS,
    Split,
    SplitManifest,
    SplitPlan,
    load_manifests,
    make_splits,
    save_manifests,
    stimuli_have_one_class,
)

__all__ = [
    "CHOICES",
    "LABELS",
    "Labelling",
    "OPTIMISTIC",
    "PRESETS",
    "PROTOCOLS",
    "Pool",
    "Protocol",
    "Split",
    "SplitManifest",
    "SplitPlan",
    "audit_stages",
    "check_choices",
    "check_votes",
    "default_protocols",
    "draw_splits",
    "fitting",
    "has_target",
    "honest",
    "load_manifests",
    "lonely_classes",
    "make_splits",
    "open_pool",
    "paper",
    "pool_for",
    "save_manifests",
    "stimuli_have_one_class",
]
