"""Which lines of an `events.tsv` are trials, and what they say: given, or found where it can be."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from mdjpt_hf.data_scripts.bids_presets import ALIASES, OWN_READERS, RULES
from mdjpt_hf.data_scripts.own_recordings import check_scales, first_overlap
from mdjpt_hf.data_scripts.rating_scales import on_scale
from mdjpt_hf.errors import ConfigurationError, CorpusError

#: Columns that are tried, in this order, where rules name none.
_STIMULUS = ("stim_file", "stimulus", "stim_id", "stimulus_id", "clip", "video", "film", "trial_type", "value")
_LABEL = ("emotion", "label", "category", "valence_class")
_NOTHING = ("", "n/a", "na", "nan", "none", "null")
#: Units of time; BIDS asks for seconds, and some studies have others.
_UNITS = ("s", "ms", "samples")
#: Shorter events are marks, not trials; a window is five seconds.
LEAST_SECONDS = 5.0


@dataclass(frozen=True)
class BIDSRules:
    """How trials stand in `events.tsv`.

    Args:
        stimulus, label: Columns; by default the first of the usual ones that is there. `-` for no label.
        keep: Column -> regular expression that the whole value must match; other lines are no trials.
        until: A regular expression: a trial lasts until the next line whose `stimulus` column matches it.
        duration: s of every trial, where the stated ones are wrong or missing; 0 takes the stated ones.
        onset_unit: "s", as BIDS has it, "ms", or "samples" at the `SamplingFrequency` of the recording's `eeg.json`.
        pattern: A regular expression whose first group in the stimulus column is the stimulus; empty takes all of it.
        labels: Value of the label column -> name of the class; empty keeps values as they are.
        stimuli: Stimulus -> the id that other corpora know it by; those not named keep theirs.
        stimulus_set: Name of the stimuli, where other corpora show the same ones under the same ids.
        ratings: Of `RATINGS` -> `[column, lowest, highest]` of the instrument.
        named_by: A regular expression: what was shown stands in the stimulus column of another line, at the trial's
            onset or between it and the trial before, that matches it whole.
        behaviour: Column of `beh/..._beh.tsv` that names the stimulus, where ratings stand there;
            `behaviour_pattern` is a regular expression whose first group in it is the stimulus as in the events.
        montage: Name of a montage of MNE, where channels are called as its sensors and not by places.
        unaligned: Why the same stimulus is not the same moment for everybody; there are no pairs then.
    """

    stimulus: str = ""
    label: str = ""
    keep: Mapping[str, str] = field(default_factory=dict)
    until: str = ""
    duration: float = 0.0
    onset_unit: str = "s"
    pattern: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ratings: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    stimuli: Mapping[str, str] = field(default_factory=dict)
    stimulus_set: str = ""
    named_by: str = ""
    behaviour: str = ""
    behaviour_pattern: str = ""
    montage: str = ""
    unaligned: str = ""

    def __post_init__(self) -> None:
        if self.onset_unit not in _UNITS:
            raise ConfigurationError(
                f"onset_unit is {self.onset_unit!r}", value=self.onset_unit, remedy=f"Use one of {', '.join(_UNITS)}"
            )
        check_scales(self.ratings)
        if not isinstance(self.duration, int | float) or not 0 <= self.duration < float("inf"):
            raise ConfigurationError(f"duration is {self.duration}", value=self.duration, remedy="Give seconds")
        if not isinstance(self.keep, Mapping):
            raise ConfigurationError(
                f"keep is {self.keep!r}", value=self.keep, remedy="Give columns, each with a regular expression"
            )
        for name in ("until", "named_by", *_GROUPED):
            _check_expression(getattr(self, name), name)
        for column, expression in self.keep.items():
            _check_expression(expression, f"keep of {column}")


#: Expressions whose first group is what is meant.
_GROUPED = ("pattern", "behaviour_pattern")


def _check_expression(expression: Any, name: str) -> None:
    try:
        groups = re.compile(expression).groups
    except (re.error, TypeError) as error:
        raise ConfigurationError(
            f"{name} is {expression!r}: {error}", value=expression, remedy="Give a regular expression"
        ) from error
    if name in _GROUPED and expression and not groups:
        raise ConfigurationError(
            f"{name} is {expression!r}, which has no group", value=expression, remedy="Put what is meant in parentheses"
        )


@dataclass(frozen=True)
class BIDSTrial:
    """One trial: line of the table (the header is 1), s on the file's clock, and what is known of it."""

    line: int
    onset: float
    duration: float
    stimulus: str
    label: str = ""
    ratings: Mapping[str, float] = field(default_factory=dict)


def read_rules(path: str | Path | None, **given: Any) -> BIDSRules:
    """Rules of a known study by its name, or from a YAML file, with others in their place where they are given.

    A file may say `like: NAME` and name only what differs from that study's.

    Raises:
        ConfigurationError: If the file cannot be read, has other settings, or the study has a reader of its own.
    """
    known = {entry.name for entry in fields(BIDSRules)}
    content: Any = {} if path is None else _known_study(str(path))
    if content is None:
        try:
            content = yaml.safe_load(Path(str(path)).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ConfigurationError(
                f"cannot be read ({error})",
                path=path,
                value=str(path),
                remedy=f"Give YAML, or one of {', '.join(RULES)}",
            ) from error
        if isinstance(content, dict) and (like := content.pop("like", None)) is not None:
            base = _known_study(str(like))
            if base is None:
                raise ConfigurationError(
                    f"like is {like!r}", path=path, value=like, remedy=f"Use one of {', '.join(RULES)}"
                )
            content = base | content
    if not isinstance(content, dict) or set(content) - known:
        odd = sorted(set(content) - known) if isinstance(content, dict) else type(content).__name__
        raise ConfigurationError(f"rules have no {odd}", path=path, value=odd, remedy=f"Use {', '.join(sorted(known))}")
    content = {name: _as_text(value, name, path) for name, value in content.items()}
    return BIDSRules(**{**content, **{name: value for name, value in given.items() if value}})


_TEXTS = tuple(entry.name for entry in fields(BIDSRules) if entry.type is str)


def _as_text(value: Any, name: str, path: Any) -> Any:
    """A setting of a file: YAML reads 1 as a number, and a table holds text."""
    if name in ("labels", "stimuli", "keep"):
        return {str(key): str(entry) for key, entry in _mapping(value, name, path).items()}
    if name not in _TEXTS:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigurationError(f"{name} is {value!r}", path=path, value=value, remedy="Give a text")
    return str(value)


def _mapping(value: Any, name: str, path: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {value!r}", path=path, value=value, remedy="Give values with their names")
    return value


def _known_study(name: str) -> dict[str, Any] | None:
    name = ALIASES.get(name, name)
    if name in OWN_READERS:
        why, remedy = OWN_READERS[name]
        raise ConfigurationError(why, value=name, remedy=remedy)
    return RULES.get(name)


def completed(rules: BIDSRules, columns: Sequence[str], path: Path) -> BIDSRules:
    """The rules with the columns that are meant, given those of a table.

    Raises:
        CorpusError: If a column is not there, or none can be the stimulus.
    """
    stimulus = rules.stimulus or next((name for name in _STIMULUS if name in columns), "")
    label = "" if rules.label == "-" else rules.label or next((name for name in _LABEL if name in columns), "")
    rated = [] if rules.behaviour else [str(entry[0]) for entry in rules.ratings.values()]
    missing = [name for name in ("onset", stimulus, label, *rules.keep, *rated) if name and name not in columns]
    if missing or not stimulus:
        raise CorpusError(
            f"has no column {missing[0]!r}" if missing else "has no column that could name the stimulus",
            path=path,
            value=missing or list(columns),
            remedy=f"Name columns with --stimulus and --label, or with --rules; there are {', '.join(columns)}",
        )
    return replace(rules, stimulus=stimulus, label=label)


def trials_of(
    lines: Sequence[Mapping[str, str]], rules: BIDSRules, path: Path, rate: float | None = None
) -> list[BIDSTrial]:
    """The trials in the lines of an `events.tsv`, by completed rules.

    Args:
        rate: Hz, where times are in samples.

    Raises:
        CorpusError: If a line that is a trial says not when it begins, or a rating lies off its scale.
    """
    if rules.onset_unit == "samples" and not rate:
        raise CorpusError(
            "counts samples, and no eeg.json beside the recording says SamplingFrequency",
            path=path,
            value=rules.onset_unit,
            remedy="Download the file eeg.json as well",
        )
    found, clock = [], _Clock(rules, path, {"s": 1.0, "ms": 1e-3}.get(rules.onset_unit, 1 / (rate or 1.0)))
    for number, line in enumerate(lines):
        if not _may_be_trial(line, rules):
            continue
        stimulus = line[rules.stimulus]
        onset = clock.onset(line, number)
        duration = _duration(lines, number, onset, rules, clock)
        if duration >= LEAST_SECONDS:
            shown = _named_nearby(lines, number, onset, rules, clock) if rules.named_by else stimulus
            stimulus = _named(shown, rules, path, number)
            label = line[rules.label] if rules.label else ""
            label = "" if label.lower() in _NOTHING else rules.labels.get(label, label)
            scales = {} if rules.behaviour else rules.ratings
            ratings = {name: rating(line, entry, path, number) for name, entry in scales.items()}
            found.append(BIDSTrial(number + 2, onset, duration, stimulus, label, ratings))
    found.sort(key=lambda trial: trial.onset)
    if overlap := first_overlap(found):
        trial, following = overlap
        raise CorpusError(
            f"lines {trial.line} and {following.line} overlap: {trial.stimulus!r} from {trial.onset:g} s for "
            f"{trial.duration:g} s, {following.stimulus!r} from {following.onset:g} s",
            path=path,
            value=(trial.line, following.line),
            remedy="Say which lines are trials (keep), or how long they last (duration, until), with --rules",
        )
    return found


def unused_ends(lines: Sequence[Mapping[str, str]], rules: BIDSRules, trials: Sequence[BIDSTrial]) -> list[str]:
    """A note where more lines end a trial than there are trials: perhaps `keep` does not know all of them."""
    ends = [line[rules.stimulus] for line in lines if _ends(line[rules.stimulus], rules)]
    more = len(ends) - len(trials)
    what = "1 line such as {!r} ends no trial" if more == 1 else f"{more} lines such as {{!r}} end no trial"
    return [what.format(ends[0]) + f" of {LEAST_SECONDS:g} s or more that is kept"] if more > 0 else []


def endless(lines: Sequence[Mapping[str, str]], rules: BIDSRules) -> list[tuple[int, str]]:
    """Line and stimulus of those that would be trials, if anything said how long they last."""
    return [
        (number + 2, line[rules.stimulus])
        for number, line in enumerate(lines)
        if _may_be_trial(line, rules) and _is_endless(lines, number, rules)
    ]


def _may_be_trial(line: Mapping[str, str], rules: BIDSRules) -> bool:
    stimulus = line[rules.stimulus]
    return stimulus.lower() not in _NOTHING and _kept(line, rules) and not _ends(stimulus, rules)


def _is_endless(lines: Sequence[Mapping[str, str]], number: int, rules: BIDSRules) -> bool:
    if rules.until:
        return _end_of(lines, number, rules) is None
    return not rules.duration and lines[number].get("duration", "").lower() in _NOTHING


def _end_of(lines: Sequence[Mapping[str, str]], number: int, rules: BIDSRules) -> int | None:
    """The place of the line that ends the trial of another."""
    following = range(number + 1, len(lines))
    return next((later for later in following if _ends(lines[later][rules.stimulus], rules)), None)


def told(rules: BIDSRules, trials: Sequence[BIDSTrial]) -> str:
    """What was taken for what, in a line."""
    labels = Counter(trial.label for trial in trials if trial.label)
    classes = ", ".join(f"{name} ({count})" for name, count in sorted(labels.items())[:12])
    label = f"label is {rules.label!r}: {classes}" if labels else "no labels"
    return f"stimulus is the column {rules.stimulus!r} ({len({t.stimulus for t in trials})} of them), {label}"


def _kept(line: Mapping[str, str], rules: BIDSRules) -> bool:
    return all(re.fullmatch(pattern, line.get(column, "")) for column, pattern in rules.keep.items())


def _ends(text: str, rules: BIDSRules) -> bool:
    return bool(rules.until) and bool(re.fullmatch(rules.until, text))


def _named(text: str, rules: BIDSRules, path: Path, number: int) -> str:
    if not rules.pattern:
        return rules.stimuli.get(text, text)
    found = re.fullmatch(rules.pattern, text)
    if found is None:
        raise CorpusError(
            f"line {number + 2}: {text!r} does not match {rules.pattern!r}",
            path=path,
            value=text,
            remedy="Correct the pattern in the rules",
        )
    return rules.stimuli.get(found.group(1), found.group(1))


def _named_nearby(
    lines: Sequence[Mapping[str, str]], number: int, onset: float, rules: BIDSRules, clock: "_Clock"
) -> str:
    """What was shown, by the line that says so: at the onset of a trial, or between it and the trial before."""
    times = [clock.onset(line, place) for place, line in enumerate(lines)]
    trials = [time for time, line in zip(times, lines, strict=True) if time < onset - 1e-3 and _kept(line, rules)]
    begin = max(trials, default=-1e7)
    near = [line[rules.stimulus] for time, line in zip(times, lines, strict=True) if begin + 1e-3 < time < onset + 1e-3]
    found = sorted({text for text in near if re.fullmatch(rules.named_by, text)})
    if len(found) != 1:
        others = ", ".join(dict.fromkeys(text for text in near if text != lines[number][rules.stimulus]))
        raise CorpusError(
            f"line {number + 2}: {' and '.join(found) or 'nothing'} says what was shown; since the trial before there "
            f"are {others or 'no other lines'}",
            path=clock.path,
            value=found,
            remedy="Say which of them name what was shown: named_by with --rules, and `like` a known study in it",
        )
    return found[0]


def _duration(lines, number: int, onset: float, rules: BIDSRules, clock: "_Clock") -> float:
    if _is_endless(lines, number, rules):
        return 0.0
    if (end := _end_of(lines, number, rules) if rules.until else None) is not None:
        return clock.onset(lines[end], end) - onset
    return rules.duration or clock.seconds(lines[number]["duration"], number)


@dataclass(frozen=True)
class _Clock:
    """What a number in a table means in s."""

    rules: BIDSRules
    path: Path
    unit: float

    def onset(self, line: Mapping[str, str], number: int) -> float:
        """Negative before the recording began, as BIDS allows."""
        return self.seconds(line.get("onset", ""), number, least=-1e7)

    def seconds(self, text: str, number: int, least: float = 0.0) -> float:
        try:
            value = float(text) * self.unit
        except ValueError:
            value = float("nan")
        if not least <= value < 1e7:
            raise CorpusError(
                f"line {number + 2}: {text!r} is no time",
                path=self.path,
                value=text,
                remedy="Correct onset and duration",
            )
        return value


def rating(line: Mapping[str, str], entry: Sequence[Any], path: Path, number: int) -> float:
    """The rating in a line of a table, in [0, 1]; NaN where there is none.

    Args:
        entry: `(column, lowest, highest)` of the instrument. path, number: Of the table and of the line, for messages.

    Raises:
        CorpusError: If it lies off the scale.
    """
    text = line.get(str(entry[0]), "")
    if text.lower() in _NOTHING:
        return float("nan")
    return on_scale(text, entry, path, "Correct the scale in the rules, or the table", f"line {number + 2}: ")
