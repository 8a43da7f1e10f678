"""Any BIDS study of EEG with trials in its `events.tsv`.

What `channels.tsv` says counts: channels that are no EEG are left out, and those with the status `bad` are bad. Trials
that a recording does not hold are left out with a line.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts.base import CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.bids_behaviour import behaviour_table, with_behaviour
from mdjpt_hf.data_scripts.bids_layout import Sidecars, bids_recordings, entities, read_json, read_tsv
from mdjpt_hf.data_scripts.bids_rules import BIDSTrial, completed, endless, read_rules, told, trials_of, unused_ends
from mdjpt_hf.data_scripts.files import fingerprint, fingerprints, read_recording
from mdjpt_hf.data_scripts.own_recordings import (
    LabelSource,
    OwnCorpus,
    add_notes,
    prepared_recording,
    problem_of,
    session_numbers,
)
from mdjpt_hf.data_scripts.places import Places, places_of_montage, places_of_tables
from mdjpt_hf.data_scripts.showings import Presentation, rule_of
from mdjpt_hf.data_scripts.signatures import signature
from mdjpt_hf.errors import CorpusError, MontageError, located
from mdjpt_hf.modeling.raw_mdjpt import Recording
from mdjpt_hf.preprocessing import preset_settings
from mdjpt_hf.schema import RATINGS, Trial

#: Licence as studies spell it, in lower case without blanks -> that of the Hub.
_LICENCES = {"cc0": "cc0-1.0", "cc01.0": "cc0-1.0", "pddl": "pddl", "ccby4.0": "cc-by-4.0", "ccby": "cc-by-4.0"}


class BIDS(OwnCorpus):
    """Corpus of a BIDS study; one unit of work per subject.

    Args:
        source: The root of the study.
        task: Only recordings of this task.
        rules: A YAML file of `BIDSRules`, for studies whose events need more than two columns' names, or a name of
            `RULES`.
        stimulus, label: Columns of `events.tsv`; found where they are usual.
        name: Value of the `dataset` column; the folder's name by default.
        preprocessing: Preset of `mdjpt_hf.preprocessing`. unit: What the values really are, where headers are wrong.
        label_source: Whether labels say what was shown or what was felt.
        stimulus_set: Name of the stimuli, where other corpora show the same ones under the same ids.
        recordings: Only these of the study: paths, or what `mne_bids.find_matching_paths` gives.

    Raises:
        CorpusError: If there are no recordings, or no events that could be trials, or labels are something else.
        ConfigurationError: If the rules cannot be read, or the preset is unknown.
        UnitError: If the unit is unknown.
    """

    def __init__(
        self,
        source: str | Path,
        task: str = "",
        rules: str | Path | None = None,
        stimulus: str = "",
        label: str = "",
        name: str | None = None,
        preprocessing: str = "basic",
        unit: str | None = None,
        label_source: LabelSource = "stimulus",
        stimulus_set: str = "",
        recordings: Iterable[str | os.PathLike[str]] | None = None,
    ):
        folder = Path(source)
        super().__init__(folder, name or folder.resolve().name, preprocessing, unit, label_source)
        self.rules = read_rules(rules, stimulus=stimulus, label=label, stimulus_set=stimulus_set)
        self.description = read_json(self.source / "dataset_description.json")
        self.recordings = bids_recordings(self.source, task, recordings)
        self.sidecars = Sidecars(self.source)
        self._notes: list[str] = []
        self.trials = self._find_trials()
        every = [trial for trials in self.trials.values() for trial in trials]
        if not every:
            raise CorpusError(
                f"no event of {len(self.recordings)} recordings is a trial of five seconds or more",
                path=self.source,
                value=self._notes[:3],
                remedy="Say which lines are trials, and how long they last, in a YAML with --rules",
            )
        self.label_names = tuple(sorted({trial.label for trial in every if trial.label}))
        self._sessions, self._numbering = self._number_sessions()

    def _find_trials(self) -> dict[Path, list[BIDSTrial]]:
        found, rules, lost = {}, self.rules, dict[Path, list[tuple[int, str]]]()
        for recording in self.recordings:
            events = self.sidecars.nearest(recording, "events.tsv")
            if events is None:
                self._notes.append(f"{recording.name} has no events.tsv, and gives no trial")
                continue
            _check_split(recording, events)
            lines = read_tsv(events)
            if lines:
                rules = completed(self.rules, list(lines[0]), events)
                found[recording] = trials_of(lines, rules, events, self._rate(recording))
                lost[events] = endless(lines, rules)
                self._notes += [f"{events.name}: {note}" for note in unused_ends(lines, rules, found[recording])]
                if rules.behaviour:
                    found[recording], more = with_behaviour(found[recording], rules, recording, self.source)
                    self._notes += more
        self._notes.append(told(rules, [trial for trials in found.values() for trial in trials]))
        self._notes += _endless_note({path: lines for path, lines in lost.items() if lines})
        return found

    def _rate(self, recording: Path) -> float | None:
        rate = self.sidecars.metadata(recording, "eeg.json").get("SamplingFrequency")
        return float(rate) if isinstance(rate, int | float) and rate > 0 else None

    def _number_sessions(self) -> tuple[dict[Path, int], dict[str, Any]]:
        """Numbers of the recordings' sessions, and the option of [`session_numbers`]."""
        labels: dict[str, set[str]] = defaultdict(set)
        for path in self.recordings:
            labels[entities(path)["sub"]].add(entities(path).get("ses", ""))
        numbers, option = session_numbers(labels)
        return {path: numbers[entities(path).get("ses", "")] for path in self.recordings}, option

    @property
    def facts(self) -> list[CorpusFacts]:
        """As `dataset_description.json` tells them."""
        licence = str(self.description.get("License") or "not stated in dataset_description.json")
        open_as = _LICENCES.get(licence.lower().replace("-", "").replace(" ", ""), "")
        rated = [rating for rating in RATINGS if rating in self.rules.ratings]
        doi = self.description.get("DatasetDOI", "")
        return [
            CorpusFacts(
                name=self.name,
                title=str(self.description.get("Name") or f"BIDS study {self.name}"),
                licence=licence,
                redistributable=bool(open_as),
                redistribution="As dataset_description.json of the study says",
                licence_id=open_as,
                label_source=self.label_source if self.label_names else "none",
                label_names=self.label_names,
                citation=str(self.description.get("HowToAcknowledge") or ""),
                access=f"DOI {doi}" if doi else "",
                rating_scale=f"{', '.join(rated)} in [0, 1], rescaled by the rules given" if rated else "",
                stimulus_set=self.rules.stimulus_set,
                unaligned=self.rules.unaligned,
            )
        ]

    def units(self) -> list[str]:
        """The subjects with trials."""
        return list(dict.fromkeys(_subject(path) for path, trials in self.trials.items() if trials))

    def notes(self) -> list[str]:
        """What was taken for stimulus and label, and recordings without events."""
        return self._notes

    def options(self) -> dict[str, Any]:
        """Files (name, bytes, time of change) and settings the rows depend on."""
        beside = [path for recording in self.recordings for path in self._beside(recording)]
        rated = [behaviour_table(recording, self.source) for recording in self.recordings if self.rules.behaviour]
        beside += [path for path in rated if path]
        return {
            "files": [part for path in self.recordings for part in fingerprints(path, self.source)]
            + [fingerprint(path, self.source) for path in dict.fromkeys(beside)],
            "rules": self._rules(),
            "name": self.name,
            "unit": self.unit,
            "label_source": self.label_source,
            "preprocessing": preset_settings(self.preprocessing),
            **self._numbering,
            **rule_of(
                ((_subject(path), self._sessions[path]), trial.stimulus)
                for path, trials in self.trials.items()
                for trial in trials
            ),
        }

    def _beside(self, recording: Path) -> list[Path]:
        """The files that what is read of a recording depends on."""
        events, channels, positions = (
            self.sidecars.nearest(recording, kind) for kind in ("events.tsv", "channels.tsv", "electrodes.tsv")
        )
        said = self.sidecars.applying(recording, "eeg.json")
        frame = self.sidecars.nearest(recording, "coordsystem.json", like=positions)
        return [path for path in (events, channels, *said, positions, frame) if path]

    def _rules(self) -> dict[str, Any]:
        """As plain JSON; what earlier versions did not know stands there where it is used."""
        later = {name for name in ("stimuli", "stimulus_set") if not getattr(self.rules, name)}
        return {name: _plain(value) for name, value in vars(self.rules).items() if name not in later}

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Yield the trials of one subject, session by session.

        Raises:
            CorpusError: If a file cannot be read.
            MDJPTError: What the signal path raises, with the file in front.
        """
        own = [path for path, trials in self.trials.items() if trials and _subject(path) == unit]
        shown = Presentation()
        for path in sorted(own, key=lambda path: self._sessions[path]):
            name, session = path.name, self._sessions[path]
            places = self._places(path)
            recording, notes = read_recording(path, self.unit, None, places.names)
            report.signatures[name] = signature(recording)
            recording, more = with_channel_table(recording, self.sidecars.nearest(path, "channels.tsv"), places.names)
            more += places.notes() if places.names else []
            prepared = prepared_recording(path, recording, self.preprocessing)
            self._check_times(path, prepared.end)
            add_notes(report, name, [*notes, *recording.notes, *recording.selection.notes(), *more, *prepared.notes])
            for trial in self.trials[path]:
                position, before = shown.next(session, trial.stimulus)
                span = prepared.span(trial.onset, trial.duration)
                problem = "lies outside the recording" if span.beyond else problem_of(span, prepared)
                if problem:
                    report.rejected.append(f"{name}: the trial of line {trial.line} {problem}")
                    continue
                if before:
                    report.notes.append(f"{name}: {trial.stimulus!r} is shown again, as trial {position}")
                yield self._trial(unit, session, position, trial, prepared, span)

    def _places(self, recording: Path) -> Places:
        """What sensors without names of places are called; nothing where they have such names.

        Raises:
            MontageError: If positions cannot be understood.
        """
        if self.rules.montage:
            return places_of_montage(self.rules.montage)
        table = self.sidecars.nearest(recording, "electrodes.tsv")
        if table is None:
            return Places()
        system = self.sidecars.nearest(recording, "coordsystem.json", like=table)
        try:
            return places_of_tables(read_tsv(table), read_json(system) if system else {}) or Places()
        except MontageError as error:
            raise located(error, str(table)) from error

    def _check_times(self, path: Path, end: float) -> None:
        """Refuse times that are none of this recording."""
        onsets = [trial.onset for trial in self.trials[path]]
        if min(onsets) > end:
            raise CorpusError(
                f"its trials begin at {min(onsets):g} to {max(onsets):g} s, but it ends at {end:g} s",
                path=path,
                value=onsets[:5],
                remedy="If onsets are in milliseconds or samples, say onset_unit: ms (or samples) with --rules",
            )

    def _trial(self, subject: str, session: int, number: int, trial: BIDSTrial, prepared, span) -> Trial:
        return Trial(
            dataset=self.name,
            subject=subject,
            session=session,
            trial=number,
            stimulus=trial.stimulus,
            label=self.label_names.index(trial.label) if trial.label else -1,
            label_name=trial.label,
            **prepared.cut(span) | _all_ratings(trial),
        )


def _endless_note(lost: Mapping[Path, list[tuple[int, str]]]) -> list[str]:
    """A line on those that are no trials only because nothing says how long they last."""
    if not lost:
        return []
    path, (line, stimulus) = next((path, lines[0]) for path, lines in lost.items())
    count = sum(map(len, lost.values()))
    what = "1 line gives" if count == 1 else f"{count} lines give"
    return [
        f"{what} no trial, since nothing says how long it lasts; the first is {stimulus!r}, line {line} of {path.name}"
    ]


def _check_split(recording: Path, events: Path) -> None:
    """Refuse a later part of a recording whose events are told for all parts, by the clock of the first."""
    part = entities(recording).get("split", "")
    if part.lstrip("0") not in ("", "1") and "split" not in entities(events):
        raise CorpusError(
            f"is part {part} of a recording, and {events.name} counts from the start of all of them",
            path=recording,
            value=part,
            remedy="Join the parts, or give each its own events.tsv, named with its split and timed from its start",
        )


def _all_ratings(trial: BIDSTrial) -> dict[str, Any]:
    return {rating: trial.ratings.get(rating, float("nan")) for rating in RATINGS}


def with_channel_table(
    recording: Recording, path: Path | None, places: Mapping[str, str] | None = None
) -> tuple[Recording, list[str]]:
    """A recording by what `channels.tsv` says of its channels, and notes on what that changed.

    Args:
        places: Recorded name -> place, where channels are called by places that they were not recorded under.

    Raises:
        CorpusError: If the table leaves no channel.
    """
    if path is None:
        return recording, ["no channels.tsv beside it"]
    lines = {line.get("name", "").lower(): line for line in read_tsv(path)}
    recorded = {standard: raw for raw, standard in recording.selection.renamed.items()}
    recorded |= {place: raw for raw, place in (places or {}).items() if place}
    names = recording.ch_names
    told_of = {name: lines.get(recorded.get(name, name).lower()) or lines.get(name.lower(), {}) for name in names}
    others = [name for name, line in told_of.items() if line.get("type", "EEG").upper() not in ("EEG", "", "N/A")]
    bad = [name for name, line in told_of.items() if line.get("status", "").lower() == "bad" and name not in others]
    kept = [index for index, name in enumerate(names) if name not in others]
    if not kept:
        raise CorpusError("says that no channel is EEG", path=path, value=others, remedy="Correct the column type")
    notes = [f"channels.tsv says that {', '.join(others)} are no EEG: left out"] if others else []
    notes += [f"channels.tsv says that {', '.join(bad)} are bad"] if bad else []
    unknown = [name for name, line in told_of.items() if not line]
    notes += [f"channels.tsv does not know {', '.join(unknown)}"] if unknown else []
    if others:
        recording = _without(recording, kept)
    recording.bads = list(dict.fromkeys([*(name for name in recording.bads if name not in others), *bad]))
    return recording, notes


def _without(recording: Recording, kept: list[int]) -> Recording:
    names = [recording.ch_names[index] for index in kept]
    selection = replace(recording.selection, ch_names=names)
    return replace(recording, signal=np.ascontiguousarray(recording.signal[kept]), selection=selection)


def _subject(path: Path) -> str:
    """As it is spelt."""
    return next(part for part in path.name.split("_") if part.lower().startswith("sub-"))[4:]


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "items") else value
