"""A clip shown again in a session: one stimulus, several trials, told apart by their place in the session.

Versions before this rule called later showings `clip #2`, `clip #3`, ..., so that splits by stimulus took them for
other clips. What prepared folders of that time hold is read by [`clips_of`].
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mdjpt_hf.errors import SchemaError
from mdjpt_hf.schema import Trial

#: The option of a corpus that says which rule its ids of stimuli follow, and what it says.
OPTION, ONE_STIMULUS = "showings", "one stimulus"
#: What readers of the user's own table call their corpora: its ids were never changed.
TABLE_TITLE = "A user's own recordings"
_LATER = re.compile(r"(.+) #([2-9]|[1-9]\d+)")


class Presentation:
    """What one subject was shown, in order."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, str]] = Counter()
        self._shown: Counter[int] = Counter()

    def next(self, session: int, stimulus: str) -> tuple[int, int]:
        """Position in the session of the trial that comes next, and how often its stimulus was shown there before.
        Trials that are left out were shown as well."""
        position, before = self._shown[session], self._seen[session, stimulus]
        self._shown[session] += 1
        self._seen[session, stimulus] += 1
        return position, before


def rule_of(shown: Iterable[tuple[Any, str]]) -> dict[str, str]:
    """The option that says that showings are one stimulus, where ids could be read otherwise without it.

    Args:
        shown: Of every trial the recording session, and its stimulus.
    """
    counts = Counter(shown)
    ids = {stimulus for _, stimulus in counts}
    again = any(count > 1 for (_, stimulus), count in counts.items() if stimulus)
    return {OPTION: ONE_STIMULUS} if again or _later_showings(ids) else {}


def clips_of(stimulus: np.ndarray, about: Mapping[str, Any], title: str) -> np.ndarray:
    """Ids of stimuli as they are meant, `(trials,)`: `clip #2` is `clip`, in corpora of versions that called it so.

    An id is read so only where its clip is a stimulus of the corpus as well, and the reader was one that called clips
    so: those who ask what labels are, but for that of a user's own table, in which `#2` is part of a name.

    Args:
        about: Options on record. title: Of the corpus.
    """
    if OPTION in about or "label_source" not in about or title == TABLE_TITLE:
        return stimulus
    later = _later_showings(set(stimulus.tolist()))
    return np.array([later.get(one, one) for one in stimulus.tolist()], dtype=stimulus.dtype) if later else stimulus


def _later_showings(ids: set[str]) -> dict[str, str]:
    """Ids that look like those of later showings -> the clip."""
    found = {one: match.group(1) for one in ids if (match := _LATER.fullmatch(one))}
    return {one: clip for one, clip in found.items() if clip in ids}


def told_apart(trials: Iterable[Trial]) -> Iterable[Trial]:
    """Trials as they come, each of which is the only one with its ids.

    Raises:
        SchemaError: If two have the same; with what to do.
    """
    met: set[tuple[Any, ...]] = set()
    for trial in trials:
        ids = (trial.dataset, trial.subject, trial.session, trial.stimulus, trial.trial)
        if ids in met:
            raise SchemaError(
                f"{trial.where}: two trials have these ids, and the same position in the session, {trial.trial}",
                value=ids,
                remedy="Count the trials of a session from 0 in order of presentation: a clip shown again has the "
                "same stimulus and another position",
            )
        met.add(ids)
        yield trial
