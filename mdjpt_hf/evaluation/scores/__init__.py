"""How answers are scored: metrics, intervals over subjects, nulls."""

from mdjpt_hf.evaluation.scores.by_subject import metrics_by_subject, over_subjects, tested_subjects
from mdjpt_hf.evaluation.scores.metrics import Accuracy, BalancedAccuracy, all_metrics
from mdjpt_hf.evaluation.scores.nulls import labellings, null_in_words
from mdjpt_hf.evaluation.scores.rating_metrics import ConcordanceCorrelation, all_rating_metrics
from mdjpt_hf.evaluation.scores.ratings import SCORE_OF_RATINGS
from mdjpt_hf.evaluation.scores.scoring import Effort, entry_of, evaluate_pool
from mdjpt_hf.evaluation.scores.statistics import (
    Interval,
    holm,
    judged,
    null_interval,
    paired_p_value,
    subject_bootstrap,
    subject_scores,
)

__all__ = [
    "Accuracy",
    "BalancedAccuracy",
    "ConcordanceCorrelation",
    "Effort",
    "Interval",
    "SCORE_OF_RATINGS",
    "all_metrics",
    "all_rating_metrics",
    "entry_of",
    "evaluate_pool",
    "holm",
    "judged",
    "labellings",
    "metrics_by_subject",
    "null_in_words",
    "null_interval",
    "over_subjects",
    "paired_p_value",
    "subject_bootstrap",
    "subject_scores",
    "tested_subjects",
]
