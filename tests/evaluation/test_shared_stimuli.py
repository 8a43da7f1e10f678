"""Corpora that show the same clips under one stimulus set: what leaks over them is refused, held out or marked."""

import json
from dataclasses import replace

import numpy as np
import pytest
from noise_corpora import NoiseCorpus, knowing

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTModel
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.exposure import exposure, exposure_note
from mdjpt_hf.data.facts import training_facts
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.stimuli import stimulus_set_of
from mdjpt_hf.data.targets import find_target
from mdjpt_hf.errors import SplitError
from mdjpt_hf.evaluation.encoders import model_encoder
from mdjpt_hf.evaluation.engine import score_corpus
from mdjpt_hf.evaluation.protocols import (
    SplitPlan,
    draw_splits,
    fitting,
    honest,
    load_manifests,
    make_splits,
    open_pool,
    paper,
    save_manifests,
)
from mdjpt_hf.evaluation.quick import quick_table, render
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.reports import read_records, write_report
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.scores import Effort, labellings
from mdjpt_hf.finetuning.windows import LabelledDataset
from mdjpt_hf.sharing.cards import _results

EFFORT = Effort(permutations=4, zero_shot_permutations=9)
SET = "clips-8"


class Watching(NoiseCorpus):
    """Noise whose clips are those of a set."""

    def __init__(self, name, subjects, stimulus_set=SET, **arguments):
        super().__init__(name, subjects, **arguments)
        self.stimulus_set = stimulus_set

    @property
    def facts(self):
        return [replace(super().facts[0], stimulus_set=self.stimulus_set)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two corpora that show the same clips, and one that shows others."""
    place = tmp_path_factory.mktemp("shared")
    corpora = [Watching("here", 4), Watching("there", 5), NoiseCorpus("alone", 4)]
    return {one.name: prepare(one, place / one.name, progress=False).folder for one in corpora}


@pytest.fixture(scope="module")
def sets(folders):
    return {trials.name: trials for trials in open_corpora(list(folders.values()))}


def pool_of(sets, *names):
    return open_pool([sets[name] for name in names], "valence_class", 5.0)


def task(folders, out, **settings):
    values = {"models": ("de",), "protocols": ("cross-dataset",), "label": "valence_class", "effort": EFFORT}
    return Evaluation(data=tuple(map(str, folders)), out=out, **{**values, **settings})


def test_a_clip_has_one_name_in_all_corpora_that_show_it(sets):
    pool = pool_of(sets, "here", "there", "alone")
    shown = {name: set(pool.stimulus[pool.corpus == name].tolist()) for name in sets}
    assert shown["here"] == shown["there"] == {f"{SET}/clip{number}" for number in range(8)}
    assert not shown["alone"] & shown["here"]
    windows = LabelledDataset(list(sets.values()), find_target(list(sets.values()), "valence_class"), 5.0, 5.0)
    assert set(windows.stimulus.tolist()) == shown["here"] | shown["alone"]


def test_sets_of_old_records_are_those_that_are_published():
    assert stimulus_set_of("faced", {}) == stimulus_set_of("thu_ep", {"stimulus_set": "tsinghua-28"}) == "tsinghua-28"
    assert stimulus_set_of("seed", {}) == "seed" and stimulus_set_of("faced", {"stimulus_set": ""}) == "faced"
    assert stimulus_set_of("recordings", {}) == "recordings" and stimulus_set_of("../faced", {}) == "../faced"


# ---- splits


@pytest.mark.parametrize("protocol", ["few-shot", "leave-one-subject-out"])
def test_clips_held_out_are_held_out_of_every_corpus(sets, protocol):
    pool = pool_of(sets, "here", "there", "alone")
    plan = SplitPlan(protocol, labelled=0.5, stimulus_disjoint=True)
    for split in make_splits(plan, pool.subject, pool.stimulus, pool.label, pool.corpus):
        train, validation, test = split.parts(pool.subject, pool.stimulus)
        learnt = set(pool.stimulus[np.concatenate([train, validation])].tolist())
        assert not learnt & set(pool.stimulus[test].tolist())
        assert not {name.split("/")[1] for name in learnt if name.startswith(SET)} & {
            name.split("/")[1] for name in pool.stimulus[test].tolist() if name.startswith(SET)
        }


def test_splits_over_shared_clips_are_refused_unless_told(sets):
    pool = pool_of(sets, "here", "there", "alone")
    columns = (pool.subject, pool.stimulus, pool.label, pool.corpus)
    with pytest.raises(SplitError, match=r"8 stimuli of here, such as clips-8/clip0.*held-out.*trained-on"):
        make_splits(SplitPlan("cross-dataset", target="here"), *columns)
    (free,) = make_splits(SplitPlan("cross-dataset", target="alone"), *columns)
    assert free.test_stimuli is None
    (leaking,) = make_splits(SplitPlan("cross-dataset", target="here", shared_stimuli="trained-on"), *columns)
    assert leaking.test_stimuli is None
    halves = make_splits(SplitPlan("cross-dataset", target="here", shared_stimuli="held-out"), *columns)
    assert len(halves) == 2
    tested = np.zeros(len(pool), dtype=int)
    for half in halves:
        train, validation, test = half.parts(pool.subject, pool.stimulus)
        learnt = set(pool.stimulus[np.concatenate([train, validation])].tolist())
        assert not learnt & set(pool.stimulus[test].tolist()) and set(pool.label[test]) == {0, 1}
        assert {name for name in pool.stimulus[pool.corpus == "alone"].tolist()} <= learnt  # what leaks nothing stays
        assert set(pool.corpus[train]) == {"there", "alone"}
        tested[test] += 1
    assert (tested[pool.corpus == "here"] == 1).all() and not tested[pool.corpus != "here"].any()


def test_corpora_whose_labels_say_the_emotion_train_and_leak_as_others_do(tmp_path):
    class Said(Watching):
        def read_unit(self, unit, report):
            for trial in super().read_unit(unit, report):
                yield replace(trial, label_name=("fear", "joy")[trial.label], valence_class=None)

        @property
        def facts(self):
            return [replace(super().facts[0], label_names=("fear", "joy"))]

    folders = [prepare(Said(name, 3), tmp_path / name, progress=False).folder for name in ("a", "b")]
    with pytest.raises(SplitError, match="8 stimuli of a, such as clips-8/clip0"):
        evaluate(task(folders, tmp_path / "out", label="emotion"), lambda line: None)


def test_a_class_of_one_clip_cannot_be_held_out(tmp_path):
    folders = [prepare(Watching(name, 3, clips=2), tmp_path / name, progress=False).folder for name in ("a", "b")]
    pool = open_pool(open_corpora(folders), "valence_class", 5.0)
    with pytest.raises(SplitError, match="trained by nobody: class and stimulus are the same thing"):
        draw_splits(pool, honest("cross-dataset", shared_stimuli="held-out"), "a", {}, 0)


def test_manifests_keep_their_hashes_and_what_is_new_is_kept(sets, tmp_path):
    pool = pool_of(sets, "here", "there")
    plain = draw_splits(pool, honest("few-shot"), "here", {}, 0)
    assert "shared_stimuli" not in plain._content()["plan"]
    held = draw_splits(pool, honest("cross-dataset", shared_stimuli="held-out"), "here", {}, 0)
    save_manifests(tmp_path / "splits.json", [plain, held])
    assert load_manifests(tmp_path / "splits.json") == [plain, held]


def test_choices_that_concern_no_shared_clip_change_nothing(sets):
    pool = pool_of(sets, "here", "alone")
    for protocol in (honest("cross-dataset"), honest("cross-dataset", shared_stimuli="held-out")):
        found, note = fitting(protocol, pool, "here", ())
        assert found == honest("cross-dataset") and not note
    assert paper("few-shot").key == replace(paper("few-shot"), shared_stimuli="refused").key
    assert "trained on in other corpora" not in " ".join(paper("few-shot").optimistic)
    found, _ = fitting(paper("cross-dataset"), pool, "here", ())
    assert found.title.startswith("cross-dataset, new stimuli") and len(found.optimistic) == 4
    shared = pool_of(sets, "here", "there")
    found, note = fitting(paper("cross-dataset"), shared, "here", ())
    assert "tested clips trained on in other corpora" in found.title and "shared stimuli" in found.title
    assert note == "8 stimuli of here were shown in there as well; they are TRAINED ON as well"


def test_recordings_of_the_tested_corpus_under_another_name_are_refused(sets, tmp_path):
    class Copy(NoiseCorpus):
        def read_unit(self, unit, report):
            yield from (replace(trial, dataset=self.name) for trial in NoiseCorpus("alone", 4).read_unit(unit, report))

    copy = open_corpora([prepare(Copy("copy", 3), tmp_path / "copy", progress=False).folder])[0]
    pool = open_pool([sets["alone"], copy], "valence_class", 5.0)
    for refused in (
        lambda: fitting(paper("cross-dataset"), pool, "alone", ()),
        lambda: draw_splits(pool, paper("cross-dataset"), "alone", {}, 0),
    ):
        with pytest.raises(SplitError, match="3 recordings of alone stand in copy as well"):
            refused()


def test_ids_that_do_not_meet_are_told(tmp_path, sets):
    class Others(Watching):
        def read_unit(self, unit, report):
            yield from (replace(trial, stimulus=f"film{trial.trial}") for trial in super().read_unit(unit, report))

    other = open_corpora([prepare(Others("other", 3), tmp_path / "other", progress=False).folder])[0]
    pool = open_pool([sets["here"], other], "valence_class", 5.0)
    found, note = fitting(honest("cross-dataset"), pool, "here", ())
    assert found == honest("cross-dataset") and "here and other are of the stimulus set clips-8 and have no" in note


def test_labels_of_shared_clips_are_dealt_together(sets):
    """A null in which a clip had another class in each corpus would call it skill to know clips again."""
    pool = pool_of(sets, "here", "there", "alone")
    for dealt in labellings(pool, 6, seed=0):
        for name in np.unique(pool.stimulus):
            assert len(set(dealt.label[pool.stimulus == name].tolist())) == 1
    apart = {
        tuple(dealt.label[np.unique(pool.stimulus, return_index=True)[1]].tolist()) for dealt in labellings(pool, 6, 0)
    }
    assert len(apart) > 1


def test_knowing_clips_again_scores_where_they_are_trained_on_and_nowhere_else(sets):
    """The encoder knows clips, and nothing of emotions: right on shared clips, as is its null, and lost on new ones."""
    pool = pool_of(sets, "here", "there")
    used, means = [sets["here"], sets["there"]], {}
    for choice in ("trained-on", "held-out"):
        protocol = honest("cross-dataset", shared_stimuli=choice)
        entry = score_corpus(Features(pool), used, "here", [knowing("stimulus", 5.0)], protocol, EFFORT, metrics=False)
        (row,) = entry["results"].values()
        means[choice] = row["knows stimulus"]["score"]["mean"], row["knows stimulus"]["null"]["mean"]
    assert means["trained-on"][0] > 0.95 and means["trained-on"][1] > 0.95
    assert means["held-out"][0] < 0.8


# ---- the command


def test_evaluating_across_them_is_refused_before_anything_is_computed(folders, tmp_path):
    given = [folders["here"], folders["there"]]
    with pytest.raises(SplitError, match="Use --set shared_stimuli=held-out"):
        evaluate(task(given, tmp_path / "out"), lambda line: None)
    assert not (tmp_path / "out").exists()


def test_held_out_and_trained_on_are_told_in_record_and_report(folders, tmp_path):
    given, said = [folders["here"], folders["there"]], []
    for choice in ("held-out", "trained-on"):
        evaluate(task(given, tmp_path / choice, choices={"shared_stimuli": choice}, corpora=("here",)), said.append)
    honestly, leaking = (read_records([tmp_path / choice])[0] for choice in ("held-out", "trained-on"))
    assert honestly["optimistic"] == [] and leaking["optimistic"] == ["tested clips trained on in other corpora"]
    assert "8 stimuli of here were shown in there" in honestly["protocol"]["design"]
    assert honestly["splits"]["count"] == 2 and len(honestly["subjects"]) == 4
    assert any("OPTIMISTIC: tested clips trained on in other corpora: DE" in line for line in said)
    text = write_report([tmp_path / "held-out", tmp_path / "trained-on"], tmp_path / "report").read_text()
    assert "Optimistic: not comparable" in text and "cross-dataset, new stimuli" in text
    paper_like = task(given, tmp_path / "paper", preset="paper", corpora=("here",))
    (record,) = evaluate(paper_like, said.append)
    assert "tested clips trained on in other corpora" in record["optimistic"]


def test_the_audit_adds_shared_clips_last_where_there_are_some(folders, tmp_path):
    audit = {"leak_audit": True, "corpora": ("here",)}
    shared = evaluate(task([folders["here"], folders["there"]], tmp_path / "a", **audit), lambda line: None)
    assert shared[0]["optimistic"] == [] and shared[-1]["optimistic"][-1] == "tested clips trained on in other corpora"
    assert "tested clips trained on" in (tmp_path / "a" / "leak_audit.md").read_text()
    apart = evaluate(task([folders["here"], folders["alone"]], tmp_path / "b", **audit), lambda line: None)
    assert len(apart) == len(shared) - 1 and "tested clips" not in (tmp_path / "b" / "leak_audit.md").read_text()


# ---- encoders that met the clips elsewhere


@pytest.mark.parametrize(
    ("facts", "saw", "words"),
    [
        ({"pretrained_on": ["there"]}, "its stimuli", "pre-trained on THE SAME STIMULI in there"),
        ({"pretrained_on": ["there", "unknown"]}, "its stimuli", "SAME STIMULI in there"),
        (
            {"pretrained_on": ["there", "here"], "trained_with_labels_of": ["there"]},
            "its stimuli, with labels",
            "fine-tuned with LABELS of THE SAME STIMULI in there",
        ),
        ({"pretrained_on": ["here", "there"]}, "yes", "pre-trained on this corpus"),
        ({"pretrained_on": ["here"], "trained_with_labels_of": ["here"]}, "with labels", "LABELS of this corpus"),
        ({"pretrained_on": ["alone"]}, "no", ""),
        ({"pretrained_on": ["alone"], "known_by": {"alone": "c0 d1 e2"}}, "no", ""),
        (
            {"pretrained_on": ["alone"], "known_by": {"alone": "a0 d1 e2"}},
            "yes",
            "pre-trained on this corpus, without labels; its recordings are in alone",
        ),
        (
            {"pretrained_on": ["alone"], "trained_with_labels_of": ["alone"], "known_by": {"alone": "b1"}},
            "with labels",
            "fine-tuned with LABELS of this corpus; its recordings are in alone",
        ),
        ({"pretrained_on": None}, "not on record", ""),
        ({}, "no", ""),
    ],
)
def test_the_worst_of_what_an_encoder_met_is_told(facts, saw, words):
    sets = {"stimulus_sets": {"here": SET, "there": SET, "alone": "alone"}}
    found = exposure("here", SET, {**facts, **sets}, "a0 b1")
    assert found["saw_this_corpus"] == saw and words in exposure_note(found)


def test_an_encoder_trained_on_a_copy_under_another_name_has_seen_the_corpus(folders, sets, tmp_path):
    class Copy(NoiseCorpus):
        """The signals of "alone", whose name they are drawn from."""

        def read_unit(self, unit, report):
            for trial in NoiseCorpus("alone", 4).read_unit(unit, report):
                yield replace(trial, dataset=self.name)

    (copy,) = open_corpora([prepare(Copy("copy", 4), tmp_path / "copy", progress=False).folder])
    MDJPTModel(MDJPTConfig.preset("tiny")).save_pretrained(tmp_path / "met")
    MDJPTFeatureExtractor().save_pretrained(tmp_path / "met")
    record = {"objective": "mdjpt", "datasets": [training_facts(copy), training_facts(sets["here"])]}
    (tmp_path / "met" / "run_record.json").write_text(json.dumps(record))
    said = []
    settings = {"models": (str(tmp_path / "met"), "de"), "protocols": ("few-shot",)}
    (found,) = evaluate(task([folders["alone"]], tmp_path / "out", **settings), said.append)
    met = found["encoders"]["met"]
    assert (met["saw_this_corpus"], met["saw_it_as"]) == ("yes", ["copy"]) and "known_by" not in met
    assert any("met (pre-trained on this corpus, without labels; its recordings are in copy)" in line for line in said)


def test_an_encoder_trained_on_the_clips_is_marked_wherever_its_score_is_told(folders, sets, tmp_path):
    model = MDJPTModel(MDJPTConfig.preset("tiny"))
    model.save_pretrained(tmp_path / "met")
    MDJPTFeatureExtractor().save_pretrained(tmp_path / "met")
    record = {"objective": "mdjpt", "datasets": [training_facts(sets["there"])]}
    (tmp_path / "met" / "run_record.json").write_text(json.dumps(record))
    said = []
    settings = {"models": (str(tmp_path / "met"), "de"), "protocols": ("few-shot",)}
    (found,) = evaluate(task([folders["here"]], tmp_path / "met" / "evaluation", **settings), said.append)
    assert found["encoders"]["met"]["saw_this_corpus"] == "its stimuli"
    assert (
        found["encoders"]["met"]["saw_stimuli_in"] == ["there"] and found["encoders"]["DE"]["saw_this_corpus"] == "no"
    )
    marked = "⚠ met (pre-trained on THE SAME STIMULI in there"
    assert any(marked in line for line in said) and not any("⚠ DE" in line for line in said)
    assert marked in write_report([tmp_path / "met" / "evaluation"], tmp_path / "report").read_text()
    assert marked in _results(found)
    table = quick_table(sets["here"], [model_encoder("pre-trained", model, record=record)], 5.0, EFFORT)
    assert table["saw"] == {"pre-trained": {"saw_this_corpus": "its stimuli", "saw_stimuli_in": ["there"]}}
    assert "⚠ pre-trained (pre-trained on THE SAME STIMULI in there" in render(table)
    assert "⚠ pre-trained (" in _results(table) and "THE SAME STIMULI" not in render(
        quick_table(sets["alone"], [model_encoder("pre-trained", model, record=record)], 5.0, EFFORT)
    )


# ---- clip and class are the same thing


@pytest.fixture(scope="module")
def one_clip_each(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "lab"
    return prepare(NoiseCorpus("lab", 6, clips=2), folder, progress=False).folder


@pytest.mark.parametrize("preset", ["honest", "paper", "eeg-arena", "omnieeg", "quick"])
def test_clip_and_class_are_said_to_be_the_same_thing_with_every_score(one_clip_each, tmp_path, preset):
    said = []
    protocols = ("leave-one-subject-out",) if preset == "eeg-arena" else ("few-shot",)
    protocols = ("held-out",) if preset == "omnieeg" else protocols
    settings = {"preset": preset, "protocols": protocols, "label": "label"}
    records = evaluate(task([one_clip_each], tmp_path / "out", **settings), said.append)
    words = "lab has a single stimulus of negative, positive: class and stimulus are the same thing there"
    assert any(words in line for line in said)
    for record in records:
        assert words in record["protocol"]["one_stimulus"] and words in _results(record)
    text = write_report([tmp_path / "out"], tmp_path / "report").read_text()
    assert f"**⚠ {words}" in text and "(class and stimulus are the same thing)](lab_0_subjects.png)" in text


def test_it_is_said_across_corpora_in_the_audit_and_in_the_table_of_a_run(one_clip_each, folders, tmp_path):
    words = "lab has a single stimulus of negative, positive"
    said = []
    (record,) = evaluate(task([one_clip_each, folders["alone"]], tmp_path / "out", corpora=("lab",)), said.append)
    assert words in record["protocol"]["one_stimulus"] and any(words in line for line in said)
    (other,) = evaluate(task([one_clip_each, folders["alone"]], tmp_path / "b", corpora=("alone",)), said.append)
    assert "one_stimulus" not in other["protocol"]
    evaluate(
        task([one_clip_each], tmp_path / "audit", protocols=("few-shot",), leak_audit=True, label="label"), said.append
    )
    assert words in (tmp_path / "audit" / "leak_audit.md").read_text()
    trials = open_corpora([one_clip_each])[0]
    assert words in render(quick_table(trials, [], 5.0, EFFORT))
