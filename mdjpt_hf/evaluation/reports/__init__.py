"""How scores are told: records, tables, figures."""

from mdjpt_hf.evaluation.reports.audit import audit_table
from mdjpt_hf.evaluation.reports.feature_map import SHOWN_WINDOWS, FeatureSample, write_sample
from mdjpt_hf.evaluation.reports.recording import record
from mdjpt_hf.evaluation.reports.records import (
    SAW_LABELS,
    check_record,
    comparability,
    plain,
    read_records,
    write_record,
)
from mdjpt_hf.evaluation.reports.report import write_report

__all__ = [
    "FeatureSample",
    "SAW_LABELS",
    "SHOWN_WINDOWS",
    "audit_table",
    "check_record",
    "comparability",
    "plain",
    "read_records",
    "record",
    "write_record",
    "write_report",
    "write_sample",
]
