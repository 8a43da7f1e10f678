"""Recordings that stand in two corpora: a copy under another name, or the same people's recordings given away twice."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.streams import is_index_folder
from mdjpt_hf.errors import CorpusError

#: Samples of its first channel that a trial is known by, and how many values they have at least: a converter at its
#: limit, or the square wave of a calibration, has fewer, and is the same in everybody's recordings.
_SAMPLES, _VALUES = 64, 16
#: Trials of a recording whose hashes go on record, hashes of a whole corpus, and hexadecimal digits of each.
_TRIALS, _HASHES, _DIGITS = 4, 4096, 12
#: In a corpus of more trials none is looked at where scales are stored: each is a place of its own on the disk.
_FEW = 5000


def recordings_in_common(one: TrialSet, other: TrialSet) -> int:
    """How many recordings (subject and session) of a corpus stand in another as well.

    A recording is known again by its mean and standard deviation to the last bit, which those of two never share, and
    by samples of any of its trials, where other trials were left out of it. Signals that stay where they are
    (`stream:`) are not read for that. What was cleaned or cut otherwise is not known again.
    """
    scales = set(_scales(other)) - {None}
    by_scale = [scale in scales for scale in _scales(one)]
    pieces = set(_pieces(other, range(len(other)))) - {b""}
    own = _pieces(one, range(len(one))) if pieces else []
    by_trial = [piece in pieces for piece in own] or [False] * len(one)
    named = zip(one.subject.tolist(), one.session.tolist(), by_scale, by_trial, strict=True)
    return len({(subject, session) for subject, session, *known in named if any(known)})


def _scales(trials: TrialSet) -> list[tuple[float, float] | None]:
    """Mean and standard deviation of each trial's recording; of a stream as far as they are stored."""
    if not is_index_folder(trials.folder):
        return [(float(mean), float(deviation)) for mean, deviation in trials.scales]
    stored = trials.stored_scales
    return [stored.get((str(who), int(when))) for who, when in zip(trials.subject, trials.session, strict=True)]


def _pieces(trials: TrialSet, indices: Sequence[int]) -> list[bytes]:
    """What trials are known by, one for each; nothing where they lie elsewhere, whose signals are not read."""
    return [] if is_index_folder(trials.folder) else [_piece(trials, index) for index in indices]


def _piece(trials: TrialSet, index: int) -> bytes:
    """Samples from the middle of a trial, empty where little varies."""
    middle = int(trials.n_samples[index]) // 2
    piece = trials.signal(index)[0, middle : middle + _SAMPLES]
    return piece.tobytes() if len(np.unique(piece)) >= _VALUES else b""


def known_by(trials: TrialSet) -> str:
    """What a corpus is known by under another name: hashes of its recordings, between spaces.

    Of every recording those of its mean and standard deviation, where they are stored, and of the few of its trials
    whose hashes are smallest, so that a part of a recording is mostly known as well.
    """
    rows = str(trials.folder), trials.fingerprint, trials.rows.tobytes()
    if rows not in _KNOWN:
        stored = trials.stored_scales
        recordings: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index, (who, when) in enumerate(zip(trials.subject.tolist(), trials.session.tolist(), strict=True)):
            recordings[str(who), int(when)].append(index)
        hashes = {_hash(repr(stored[recording]).encode()) for recording in recordings if recording in stored}
        for recording, members in recordings.items():
            first = [] if recording in stored else members[:1]
            pieces = set(_pieces(trials, members if len(trials) <= _FEW else first)) - {b""}
            hashes.update(sorted(map(_hash, pieces))[:_TRIALS])
        _KNOWN[rows] = " ".join(sorted(hashes)[:_HASHES])
    return _KNOWN[rows]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


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
