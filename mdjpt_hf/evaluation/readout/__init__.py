"""How answers are read out of features: heads, neighbours, and who chooses between them."""

from mdjpt_hf.evaluation.readout.answers import Answers, Part, answer, joined
from mdjpt_hf.evaluation.readout.asking import Features, answer_some, answered_together, asker
from mdjpt_hf.evaluation.readout.calibration import fit_temperature, scale
from mdjpt_hf.evaluation.readout.heads import mlp
from mdjpt_hf.evaluation.readout.neighbours import NEIGHBOURS, Neighbours, nearest_neighbours
from mdjpt_hf.evaluation.readout.preparing import prepare
from mdjpt_hf.evaluation.readout.ridge import STRENGTHS, Ridge

__all__ = [
    "Answers",
    "Features",
    "NEIGHBOURS",
    "Part",
    "Neighbours",
    "Ridge",
    "STRENGTHS",
    "answer",
    "answer_some",
    "answered_together",
    "asker",
    "fit_temperature",
    "joined",
    "mlp",
    "nearest_neighbours",
    "prepare",
    "scale",
]
