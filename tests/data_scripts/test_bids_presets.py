"""Rules of known studies, on studies made to their layouts: what was shown, when, how it was rated, what is asked."""

import json
from pathlib import Path

import numpy as np
import pytest

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.bids import BIDS
from mdjpt_hf.data_scripts.bids_behaviour import with_behaviour
from mdjpt_hf.data_scripts.bids_presets import RULES
from mdjpt_hf.data_scripts.bids_rules import BIDSRules, BIDSTrial, read_rules
from mdjpt_hf.errors import ConfigurationError, CorpusError, PairingError

from .test_bids import NAMES, study, table, write_edf

NET = [f"E{number}" for number in (22, 9, 24, 124, 36, 104, 52, 92, 70, 83)]


def dens(root: Path, beh: list[tuple] | None = None) -> Path:
    """As OpenNeuro has it: samples at 250 Hz, sidecars in another case, sensors of a net, ratings in `beh`."""
    study(root, people=("mit001", "mit002"), names=NET, task="Emotion")
    (root / "task-Emotion_events.tsv").unlink()
    for person in ("mit001", "mit002"):
        folder = root / f"sub-{person}" / "eeg"
        values = np.random.default_rng(int(person[-1])).normal(0, 12, (len(NET), 150 * 250))
        write_edf(folder / f"sub-{person}_task-Emotion_eeg.edf", values, NET, 250)
        (folder / f"sub-{person}_task-emotion_eeg.json").write_text(json.dumps({"SamplingFrequency": 250}))
        rows = [
            (500, 1000, "base", "baseline"),
            (1000.5, 1000, "stm", "neutral_1_1"),
            (16125.5, 1000, "vlnc", "Valence"),
        ]
        rows += [(20000.25, 1000, "stm", "13_2"), (35125.25, 1000, "vlnc", "Valence")]
        table(folder / f"sub-{person}_task-emotion_events.tsv", "onset duration trial_type label", rows)
        (folder.parent / "beh").mkdir()
    rated = beh or [("neutral_1.mp4", 5, 1, 9, 3), ("13.m4v", 9, 5, 1, 5), ("7.mp4", 1, 1, 1, 1)]
    header = "stimuliName valence arousal dominance liking"
    table(root / "sub-mit001" / "beh" / "sub-mit001_task-Emotion_beh.tsv", header, rated)
    table(root / "channels.tsv", "name type units status", [(name, "EEG", "uV", "good") for name in NET])
    return root


def test_dens_has_its_ratings_and_its_net(tmp_path):
    report = prepare(BIDS(dens(tmp_path / "ds"), rules="dens"), tmp_path / "out", progress=False).report
    (trials,) = open_corpora([tmp_path / "out"])
    assert trials.subject.tolist() == ["mit001"] * 2 + ["mit002"] * 2
    assert trials.stimulus.tolist() == ["neutral_1", "13"] * 2 and set(trials.n_samples) == {60 * 125}
    assert trials.ratings[:2].tolist() == [[0.5, 0.0, 1.0, 0.5], [1.0, 0.5, 0.0, 1.0]]
    assert np.isnan(trials.ratings[2:]).all()
    assert any("sub-mit002_task-Emotion_eeg.edf has no beh.tsv" in note for note in report["notes"])
    assert any("called by the nearest place" in note for note in report["units"][0]["notes"])
    assert {"O1", "O2"} <= set(trials.ch_names[0]) or len(trials.ch_names[0]) == 10
    PairSampler(trials, length=625)  # the same clips: pairs are possible


def test_ratings_are_of_the_trial_that_they_name_or_of_none(tmp_path):
    twice = [("13.m4v", 9, 5, 1, 5), ("13.m4v", 1, 1, 1, 1), ("neutral_1.mp4", 5, 1, 9, 3)]
    report = prepare(BIDS(dens(tmp_path / "ds", twice), rules="dens"), tmp_path / "out", progress=False).report
    (trials,) = open_corpora([tmp_path / "out"])
    assert np.isnan(trials.ratings[1]).all() and trials.ratings[0].tolist() == [0.5, 0.0, 1.0, 0.5]
    assert any("does not rate 13 once" in note for note in report["notes"])
    with pytest.raises(CorpusError, match=r"beh\.tsv: line 2: valence is '12', not from 1 to 9"):
        BIDS(dens(tmp_path / "off", [("13.m4v", 12, 5, 1, 5)]), rules="dens")


def test_a_changed_rating_is_prepared_anew(tmp_path):
    root = dens(tmp_path / "ds")
    first = prepare(BIDS(root, rules="dens"), tmp_path / "out", progress=False)
    assert not prepare(BIDS(root, rules="dens"), tmp_path / "out", progress=False).built
    beh = root / "sub-mit001" / "beh" / "sub-mit001_task-Emotion_beh.tsv"
    beh.write_text(beh.read_text(encoding="utf-8-sig").replace("13.m4v\t9", "13.m4v\t8.5"))
    assert prepare(BIDS(root, rules="dens"), tmp_path / "out", progress=False).built and first.built


def music(root: Path, codes=("303", "317")) -> Path:
    """As ds002721: the code of a clip stands before the music or at its start, and every duration is 20."""
    study(root, people=("01",), task="run2")
    rows = [(0.5, 20, 786), (2.0, 20, codes[0]), (3, 20, 788), (9, 20, 257), (19, 20, 1092), (19.5, 20, 801)]
    rows += [(20.5, 20, 907), (22, 20, 786), (25, 20, 788), (25, 20, codes[1])]
    table(root / "task-run2_events.tsv", "onset duration trial_type", rows)
    return root


def test_music_is_named_by_the_codes_that_are_listed(tmp_path):
    (found,) = BIDS(music(tmp_path / "ds"), rules="ds002721").trials.values()
    assert [(t.onset, t.duration, t.stimulus, t.label) for t in found] == [(3, 12, "303", ""), (25, 12, "317", "")]


def test_codes_that_nothing_lists_are_asked_for(tmp_path):
    root = music(tmp_path / "ds", ("303", "463"))
    with pytest.raises(CorpusError, match="line 10: nothing says what was shown; .* 463.*named_by.*like"):
        BIDS(root, rules="ds002721")
    with pytest.raises(CorpusError, match="303 and 304 says what was shown"):
        table(root / "task-run2_events.tsv", "onset duration trial_type", [(1, 20, 303), (2, 20, 304), (3, 20, 788)])
        BIDS(root, rules="ds002721")
    (tmp_path / "mine.yaml").write_text("like: ds002721\nnamed_by: '[3-6]\\d\\d'")
    (found,) = BIDS(music(tmp_path / "more", ("303", "463")), rules=tmp_path / "mine.yaml").trials.values()
    assert [trial.stimulus for trial in found] == ["303", "463"] and found[0].duration == 12


def test_imagined_emotions_have_no_pairs(tmp_path):
    root = study(tmp_path / "ds", people=("01", "02"), task="imagine")
    rows = [(1, 0, "prebase"), (2, 0, "awe"), (5, 0, "press1"), (10, 0, "exit"), (12, 0, "Sad"), (30, 0, "exit")]
    table(root / "task-imagine_events.tsv", "onset duration value", rows)
    prepare(BIDS(root, rules="ds003004"), tmp_path / "out", progress=False)
    (trials,) = open_corpora([tmp_path / "out"])
    assert trials.label_names == ("Sad", "awe") and trials.n_samples.tolist() == [1000, 2250] * 2
    with pytest.raises(PairingError, match="at one's own pace"):
        PairSampler(trials, length=625)
    table(root / "task-imagine_events.tsv", "onset duration value", [*rows[:4], (12, 0, "envy"), (30, 0, "exit")])
    assert any("1 line such as 'exit' ends no trial" in note for note in BIDS(root, rules="ds003004").notes())


def test_names_of_studies():
    for name in RULES:
        assert read_rules(name) == read_rules(name, stimulus="") and read_rules(name).stimulus
    assert read_rules("ds003751") == read_rules("dens") and read_rules("nm000112") == read_rules("faced")
    with pytest.raises(ConfigurationError, match="EmoEEG-MC has no events.tsv.*mdjpt data prepare emoeeg_mc"):
        read_rules("emoeeg-mc")


def test_like_names_a_study(tmp_path):
    (tmp_path / "odd.yaml").write_text("like: densest")
    with pytest.raises(ConfigurationError, match="like is 'densest'.*dens, faced, ds002721, ds003004"):
        read_rules(tmp_path / "odd.yaml")
    (tmp_path / "shorter.yaml").write_text("like: dens\nduration: 50")
    rules = read_rules(tmp_path / "shorter.yaml")
    assert rules.duration == 50 and rules.montage == "GSN-HydroCel-129" and NAMES


@pytest.mark.parametrize(
    "text",
    [
        *(f"ratings: {{valence: {entry}}}" for entry in ("[v, 9, 1]", "[v, 1, 1]", "[v, 1]", "[v, a, b]", "v", "5")),
        *("ratings: [valence]", "ratings: {joy: [v, 1, 9]}", "keep: clip", "keep: {trial_type: '('}", "until: '('"),
        *(
            "pattern: '('",
            "pattern: clip",
            "behaviour_pattern: clip",
            "named_by: '*'",
            "duration: long",
            "unaligned: true",
        ),
        *("stimulus: [a]", "stimuli: [a]", "label:"),
    ],
)
def test_rules_that_say_nothing_are_refused_by_their_name(tmp_path, text):
    """A scale from 9 to 1 would turn a rating round in silence."""
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"joy|rating|" + text.partition(":")[0]):
        read_rules(tmp_path / "rules.yaml")


def test_numbers_in_rules_are_texts_as_tables_hold_them(tmp_path):
    (tmp_path / "rules.yaml").write_text("{stimulus: 5, keep: {7: 8}, stimulus_set: 9}", encoding="utf-8")
    rules = read_rules(tmp_path / "rules.yaml")
    assert (rules.stimulus, rules.keep, rules.stimulus_set) == ("5", {"7": "8"}, "9")


def test_ratings_beside_events_are_found_by_the_names_of_other_corpora_too(tmp_path):
    (tmp_path / "sub-1" / "beh").mkdir(parents=True)
    (tmp_path / "sub-1" / "beh" / "sub-1_beh.tsv").write_text("film\tv\n13.m4v\t9\n", encoding="utf-8")
    rules = BIDSRules(
        stimulus="film",
        behaviour="film",
        behaviour_pattern=r"(.+?)(\.\w+)?",
        stimuli={"13": "fear-2"},
        ratings={"valence": ["v", 1, 9]},
    )
    trials = [BIDSTrial(2, 0.0, 60.0, "fear-2")]
    found, notes = with_behaviour(trials, rules, tmp_path / "sub-1" / "eeg" / "sub-1_eeg.set", tmp_path)
    assert found[0].ratings == {"valence": 1.0} and not notes
