"""Where modules are found that had another name once: `import mdjpt_hf.hub` is `import mdjpt_hf.sharing.hub`."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = "mdjpt_hf."

#: Former name -> name now, both within the package; what lies in a folder moved with it.
FORMER_NAMES = {
    "artefacts": "preprocessing.artefacts",
    "auto": "runtime.registration",
    "cards": "sharing.cards",
    "cli_evaluate": "cli.evaluate",
    "cli_live": "cli.live",
    "cli_reproduce": "cli.reproduce",
    "cli_share": "cli.share",
    "clustering": "training.clustering",
    "convert": "sharing.convert",
    "dropouts": "streaming.dropouts",
    "embedding": "inference.embedding",
    "environment": "runtime.environment",
    "estimator": "inference.estimator",
    "evaluation.asking": "evaluation.readout.asking",
    "evaluation.braindecode_models": "evaluation.encoders.braindecode_models",
    "evaluation.by_subject": "evaluation.scores.by_subject",
    "evaluation.calibration": "evaluation.readout.calibration",
    "evaluation.canvas": "evaluation.reports.canvas",
    "evaluation.choices": "evaluation.protocols.choices",
    "evaluation.designs": "evaluation.protocols.designs",
    "evaluation.embedding": "evaluation.reports.feature_map",
    "evaluation.figures": "evaluation.reports.figures",
    "evaluation.importance": "evaluation.scores.importance",
    "evaluation.importance_figure": "evaluation.reports.importance_figure",
    "evaluation.metrics": "evaluation.scores.metrics",
    "evaluation.nulls": "evaluation.scores.nulls",
    "evaluation.pool": "evaluation.protocols.pool",
    "evaluation.rating_metrics": "evaluation.scores.rating_metrics",
    "evaluation.ratings": "evaluation.scores.ratings",
    "evaluation.records": "evaluation.reports.records",
    "evaluation.report": "evaluation.reports.report",
    "evaluation.report_figures": "evaluation.reports.report_figures",
    "evaluation.ridge": "evaluation.readout.ridge",
    "evaluation.runner": "evaluation.scores.scoring",
    "evaluation.scaling_figure": "evaluation.reports.scaling_figure",
    "evaluation.splits": "evaluation.protocols.splits",
    "evaluation.statistics": "evaluation.scores.statistics",
    "evaluation.transformers_models": "evaluation.encoders.transformers_models",
    "export": "sharing.export",
    "hub": "sharing.hub",
    "importing": "runtime.importing",
    "notes": "runtime.notes",
    "ownership": "runtime.ownership",
    "predict": "inference.prediction",
    "prediction": "inference.prediction",
    "pretrain": "pretraining",
    "progress": "runtime.progress",
    "telemetry": "runtime.telemetry",
    "torchaudio_guard": "runtime.torchaudio_guard",
}

#: Former names that a function of the package has now: imported, such a module can be called as that function.
_FUNCTIONS = {"predict": "predict_all", "pretrain": "pretrain"}


class _FormerNames(MetaPathFinder, Loader):
    """Finds the module of today under its former name: one module, whichever name is asked for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What leads to today's module; None for names that no module of ours ever had."""
        former = fullname.removeprefix(_PACKAGE) if fullname.startswith(_PACKAGE) else ""
        parts = former.split(".")
        for count in range(len(parts), 0, -1):
            now = FORMER_NAMES.get(".".join(parts[:count]))
            if now is not None:
                spec = ModuleSpec(fullname, self)
                spec.loader_state = ".".join([_PACKAGE.rstrip("."), now, *parts[count:]])
                return spec
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Today's module; importlib hangs the spec that was asked for on it, which `exec_module` undoes."""
        module = import_module(str(spec.loader_state))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run again."""
        asked = module.__spec__
        assert asked is not None
        module.__spec__ = asked.loader_state
        function = _FUNCTIONS.get(asked.name.removeprefix(_PACKAGE))
        if function is not None:
            _let_be_called(module, getattr(module, function))


def _let_be_called(module: ModuleType, function: Callable[..., Any]) -> None:
    class Former(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return function(*arguments, **options)

    module.__class__ = Former


def keep_former_names() -> None:
    """Let imports by former names work from now on; modules of today are found without asking here."""
    if not any(isinstance(finder, _FormerNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _FormerNames())  # before who finds files: a folder that moved holds them too
