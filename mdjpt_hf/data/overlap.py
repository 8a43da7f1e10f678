"""Recordings that stand in two corpora: a copy under another name, or the same people's recordings given away twice."""

import hashlib
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.streams import is_index_folder
from mdjpt_hf.errors import CorpusError

#: Samples of its first channel that a trial is known by.
_SAMPLES = 64
#: Trials of a corpus whose hashes go on record, and hexadecimal digits of each.
_KNOWN_BY, _DIGITS = 128, 12
#: Of a corpus of more trials the first of each recording is looked at: each is a place of its own on the disk.
_FEW = 5000


def recordings_in_common(one: TrialSet, other: TrialSet) -> int:
    """How many recordings (subject and session) of a corpus stand in another as well.

    A recording is known again by its mean and standard deviation to the last bit, which those of two never share, and
    by samples of any of its trials, where other trials were left out of it. Trials that stay where they are
    (`stream:`) are not read for that. What was cleaned or cut otherwise is not known again.
    """
    scales = set(map(tuple, other.scales.tolist()))
    by_scale = [tuple(scale) in scales for scale in one.scales.tolist()]
    pieces = {_piece(other, index) for index in range(len(other))} - {b""}
    by_trial = [bool(pieces) and _piece(one, index) in pieces for index in range(len(one))]
    named = zip(one.subject.tolist(), one.session.tolist(), by_scale, by_trial, strict=True)
    return len({(subject, session) for subject, session, *known in named if any(known)})


def _piece(trials: TrialSet, index: int) -> bytes:
    """Samples from the middle of a trial, empty where nothing varies or the trial lies elsewhere.

    Of one channel: of a corpus larger than memory every piece is a page of its own to read.
    """
    if is_index_folder(trials.folder):
        return b""
    middle = int(trials.n_samples[index]) // 2
    piece = trials.signal(index)[0, middle : middle + _SAMPLES]
    return piece.tobytes() if np.ptp(piece) > 0 else b""


def known_by(trials: TrialSet) -> str:
    """What a corpus is known by under another name: the smallest hashes of its trials, between spaces.

    Two corpora with trials in common have some of these in common too: those of the smallest hashes (a bottom-k sketch,
    Cohen and Kaplan 2007). Of a copy all are; of one whose every tenth trial is the other's, a dozen. Empty where the
    trials lie elsewhere (`stream:`).
    """
    rows = str(trials.folder), trials.fingerprint, trials.rows.tobytes()
    if rows not in _KNOWN:
        pieces = {_piece(trials, index) for index in _looked_at(trials)} - {b""}
        hashes = sorted(hashlib.sha256(piece).hexdigest()[:_DIGITS] for piece in pieces)
        _KNOWN[rows] = " ".join(hashes[:_KNOWN_BY])
    return _KNOWN[rows]


def _looked_at(trials: TrialSet) -> Sequence[int]:
    if len(trials) <= _FEW:
        return range(len(trials))
    recordings = zip(trials.subject.tolist(), trials.session.tolist(), strict=True)
    return list({recording: index for index, recording in reversed(list(enumerate(recordings)))}.values())


#: Folder, fingerprint and rows -> what they are known by: computed once, however many records are written about them.
_KNOWN: dict[tuple[str, str, bytes], str] = {}


def check_no_copies(trial_sets: Sequence[TrialSet]) -> None:
    """Refuse corpora to train on that are one under two names, as far as [`known_by`] tells.

    Raises:
        CorpusError: With two that are.
    """
    for one, other in combinations(trial_sets, 2):
        if set(known_by(one).split()) & set(known_by(other).split()):
            raise CorpusError(
                f"{one.name} and {other.name} hold the same recordings: they would count twice, and who is held out "
                "under one name would be trained on under the other",
                path=other.folder,
                value=other.name,
                remedy="Give one of them",
            )


def check_apart(trial_sets: Sequence[TrialSet]) -> None:
    """Refuse corpora whose people are to be shared out to two sides, where a recording would stand on both.

    Raises:
        CorpusError: With two corpora that share recordings.
    """
    for one, other in combinations(trial_sets, 2):
        if same := recordings_in_common(one, other):
            raise CorpusError(
                f"{one.name} and {other.name} have {same} recordings in common: who is held out under one name would "
                "be trained on under the other",
                path=other.folder,
                value=same,
                remedy="Give one of them",
            )
