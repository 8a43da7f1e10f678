"""Data sets of MOABB as adapted recordings: whole recordings, with the trials that a paradigm finds in them.

What MOABB 1.7 does, found by running it: recordings are in V; the arrays of `paradigm.get_data` are multiplied by
`dataset.unit_factor` (10⁶) and filtered by the paradigm. Here neither is taken but the recordings themselves, since the
paradigm's filter (8-32 Hz for motor imagery) leaves nothing of the bands that emotions are looked for in.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from mdjpt_hf.data_scripts.adapted import AdaptedRecording, AdaptedTrial, Reader
from mdjpt_hf.errors import CorpusError, located
from mdjpt_hf.modeling.errors_mdjpt import MDJPTError
from mdjpt_hf.modeling.raw_mdjpt import read_raw
from mdjpt_hf.modeling.timeline_mdjpt import read_timeline

_log = logging.getLogger("moabb")


def moabb_subjects(dataset: Any, paradigm: Any, subjects: Sequence[Any] | None = None) -> dict[str, Reader]:
    """Readers of the subjects of a data set, which MOABB downloads when they are asked for.

    Args:
        dataset, paradigm: Of MOABB. subjects: Of `dataset.subject_list`; all of them by default.

    Raises:
        CorpusError: If paradigm and data set do not fit, a subject is not there, or windows slide across trials.
    """
    if not hasattr(dataset, "subject_list") or not hasattr(paradigm, "used_events"):
        raise CorpusError(
            f"{type(dataset).__name__} and {type(paradigm).__name__} are no data set and paradigm of MOABB",
            value=type(dataset).__name__,
            remedy="Give from_moabb(dataset, paradigm)",
        )
    if not paradigm.is_valid(dataset):
        raise CorpusError(
            f"{dataset.code} does not fit {type(paradigm).__name__}",
            value=dataset.code,
            remedy="Give a paradigm whose is_valid(dataset) is true",
        )
    if getattr(paradigm, "overlap", None) is not None:
        raise CorpusError(
            f"{type(paradigm).__name__} has windows that slide across trials",
            value=paradigm.overlap,
            remedy="Give one with overlap=None: windows are cut from whole trials later",
        )
    chosen = list(dataset.subject_list if subjects is None else subjects)
    if missing := [subject for subject in chosen if subject not in dataset.subject_list]:
        raise CorpusError(
            f"{dataset.code} has no subjects {missing}", value=missing, remedy=f"Choose from {dataset.subject_list}"
        )
    return {str(subject): partial(_of_subject, dataset, paradigm, subject) for subject in chosen}


def moabb_facts(dataset: Any) -> dict[str, Any]:
    """Fields of `CorpusFacts`, as far as MOABB knows them."""
    metadata = getattr(dataset, "metadata", None)
    told = getattr(metadata, "documentation", None)
    licence = getattr(told, "license", None) or "not stated by MOABB; its owners' terms hold"
    doi = getattr(dataset, "doi", None) or ""
    return {
        "title": f"{dataset.code}, as MOABB gives it",
        "licence": str(licence),
        "redistributable": False,
        "redistribution": "Ask its owners: what MOABB tells of a licence is no grant",
        "access": f"DOI {doi}" if doi else "",
    }


def _of_subject(dataset: Any, paradigm: Any, subject: Any) -> Iterator[AdaptedRecording]:
    from moabb.datasets.bids_interface import StepType
    from moabb.datasets.preprocessing import FixedPipeline, SetRawAnnotations

    # in the place of the paradigm's own steps: events become marks that last as long as the task, and nothing else
    marks = SetRawAnnotations(dataset.event_id, interval=dataset.interval)
    raws, _, table = paradigm.get_data(
        dataset, [subject], return_raws=True, process_pipelines=[FixedPipeline([(StepType.RAW, marks)])]
    )
    for raw, row in zip(raws, table.to_dict("records"), strict=True):
        where = f"{dataset.code}, subject {subject}, session {row['session']}, run {row['run']}"
        picked = raw if paradigm.channels is None else raw.copy().pick(list(paradigm.channels))
        try:
            recording = read_raw(picked)
        except MDJPTError as error:
            raise located(error, where) from error
        yield AdaptedRecording(where, str(row["session"]), recording, _trials(raw, dataset, paradigm))


def _trials(raw: Any, dataset: Any, paradigm: Any) -> list[AdaptedTrial]:
    """The paradigm's part of every task: from its `tmin` to its `tmax`, s after the task begins."""
    begin, end = dataset.interval
    length = (end - begin if paradigm.tmax is None else paradigm.tmax) - paradigm.tmin
    wanted = paradigm.used_events(dataset)
    return [
        AdaptedTrial(mark.onset + paradigm.tmin, length, label=mark.text)
        for mark in read_timeline(raw).marks
        if mark.text in wanted
    ]
