"""Who is tested: windows with their labels, named choices, and the splits they draw."""

from mdjpt_hf.evaluation.protocols.benchmarks import BENCHMARKS, Benchmark, comparable
from mdjpt_hf.evaluation.protocols.choices import CHOICES, OPTIMISTIC, Protocol, check_choices
from mdjpt_hf.evaluation.protocols.designs import check_votes, fitting, lonely_classes, one_stimulus_note
from mdjpt_hf.evaluation.protocols.drawing import draw_splits, kept_windows, pool_for
from mdjpt_hf.evaluation.protocols.pool import LABELS, Labelling, Pool, has_target, open_pool
from mdjpt_hf.evaluation.protocols.presets import (
    PRESETS,
    audit_stages,
    default_protocols,
    honest,
    paper,
    preset_named,
)
from mdjpt_hf.evaluation.protocols.splits import (
    BENCHMARKED,
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
    "BENCHMARKED",
    "BENCHMARKS",
    "Benchmark",
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
    "comparable",
    "default_protocols",
    "draw_splits",
    "fitting",
    "has_target",
    "honest",
    "kept_windows",
    "load_manifests",
    "lonely_classes",
    "make_splits",
    "one_stimulus_note",
    "open_pool",
    "paper",
    "pool_for",
    "preset_named",
    "save_manifests",
    "stimuli_have_one_class",
]
