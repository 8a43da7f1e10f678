"""Ratings that a BIDS study keeps apart from its events, in `beh/..._beh.tsv`: a line for each stimulus."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mdjpt_hf.data_scripts.bids_layout import entities, is_hidden, read_tsv
from mdjpt_hf.data_scripts.bids_rules import BIDSRules, BIDSTrial, rating
from mdjpt_hf.errors import CorpusError


def behaviour_table(recording: Path, source: Path) -> Path | None:
    """The table of what a person did in a recording's task, in the folder `beh` beside that of the recording."""
    known = set(entities(recording).items())
    folder = recording.parent.parent / "beh"
    if source not in folder.parents or not folder.is_dir():
        return None
    tables = [path for path in folder.iterdir() if path.name.lower().endswith("_beh.tsv")]
    tables = [path for path in sorted(tables) if not is_hidden(Path(path.name))]
    fitting = [path for path in tables if set(entities(path).items()) <= known]
    return max(fitting, key=lambda path: len(entities(path)), default=None)


def with_behaviour(
    trials: Sequence[BIDSTrial], rules: BIDSRules, recording: Path, source: Path
) -> tuple[list[BIDSTrial], list[str]]:
    """Trials with the ratings of the table beside them, matched by what was shown, and notes on what has none.

    Raises:
        CorpusError: If the table has no such column, or a rating lies off its scale.
    """
    table = behaviour_table(recording, source)
    if table is None:
        return list(trials), [f"{recording.name} has no beh.tsv: its trials have no ratings"]
    lines = read_tsv(table)
    wanted = [rules.behaviour, *(str(entry[0]) for entry in rules.ratings.values())]
    if lines and (missing := [column for column in wanted if column not in lines[0]]):
        raise CorpusError(
            f"has no column {missing[0]!r}",
            path=table,
            value=missing,
            remedy=f"Correct behaviour and ratings in the rules; there are {', '.join(lines[0])}",
        )
    rated: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number, line in enumerate(lines):
        found = re.fullmatch(rules.behaviour_pattern, line[rules.behaviour]) if rules.behaviour_pattern else None
        shown = found.group(1) if found else line[rules.behaviour]
        shown = rules.stimuli.get(shown, shown)  # as trials are called
        rated[shown].append({name: rating(line, entry, table, number) for name, entry in rules.ratings.items()})
    shows = Counter(trial.stimulus for trial in trials)
    matched = [
        replace(trial, ratings=rated[trial.stimulus][0])
        # shown twice, or rated twice: which line is which trial's is not known
        if len(rated.get(trial.stimulus, ())) == 1 == shows[trial.stimulus]
        else trial
        for trial in trials
    ]
    without = [trial.stimulus for trial in matched if not trial.ratings]
    return matched, [f"{table.name} does not rate {', '.join(without)} once: no ratings there"] if without else []
