"""What is refused before anything is trained, and what a folder may be gone on with."""

import json

import numpy as np
import pytest

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError, CorpusError, PairingError, SplitError
from mdjpt_hf.evaluation.protocols.pool import open_pool
from mdjpt_hf.reproduction.plan import PLAN_FILE, Reproduction, make_plan, take_folder

STIMULI = [f"clip{number}" for number in range(4)]


@pytest.fixture
def two(prepared):
    return prepared("one"), prepared("two", seed=1)


def plan(data, out, tiny, **changes):
    return make_plan(Reproduction(tuple(map(str, data)), out, tiny, **changes))


def test_the_paper_is_the_default_and_trains_on_everybody(two, tmp_path):
    made = make_plan(Reproduction(tuple(map(str, two)), tmp_path / "out", seed=3))
    assert (made.config.steps, made.config.model, made.config.held_out_subjects) == (20480, {"preset": "base"}, 0)
    without = made.without(made.targets[0])
    assert (without.name, without.seed, without.output_dir) == (
        "without-one",
        3,
        str(tmp_path / "out" / "one" / "pre-trained"),
    )
    assert without.data == (str(two[1]),) and without.leave_out == ()
    kept = make_plan(Reproduction(tuple(map(str, two)), tmp_path / "out", settings={"held_out_subjects": 2}))
    assert kept.config.held_out_subjects == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ("three",)}, "no corpus three to leave out"),
        ({"settings": {"data": ["x"], "output_dir": "y"}}, "data, output_dir cannot be set"),
        ({"settings": {"push_to_hub": "a/b"}}, "push_to_hub cannot be set"),
        ({"settings": {"stepps": 3}}, "stepps"),
        ({"config": "nothing"}, "neither a preset nor a file"),
        ({"permutations": 0}, "permutations must be at least 1, found 0"),
    ],
)
def test_settings_that_cannot_be(two, tmp_path, tiny, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        make_plan(Reproduction(**({"data": tuple(map(str, two)), "out": tmp_path, "config": tiny} | changes)))


def test_one_corpus_is_not_enough_and_none_counts_twice(two, tmp_path, tiny, toy_corpus):
    with pytest.raises(ConfigurationError, match="there is only one"):
        plan(two[:1], tmp_path, tiny)
    with pytest.raises(CorpusError, match="comes from several folders"):
        plan([two[0], two[0]], tmp_path, tiny)

    class Renamed(toy_corpus):
        def trial(self, *key):
            self.name = "one"
            trial = super().trial(*key)
            trial.dataset = self.name = "mine"
            return trial

    copy = prepare(Renamed("mine"), tmp_path / "copy", progress=False).folder
    with pytest.raises(CorpusError, match="'mine' holds 3 recordings that 'one' in .* holds as well"):
        plan([two[0], copy], tmp_path, tiny)
    with pytest.raises(CorpusError, match="is not a prepared corpus"):
        plan([two[0], tmp_path / "nothing"], tmp_path, tiny)


def test_a_corpus_without_labels_can_only_be_trained_on(two, tmp_path, tiny, toy_corpus):
    class Unlabelled(toy_corpus):
        def trial(self, *key):
            trial = super().trial(*key)
            trial.label, trial.label_name = -1, ""
            return trial

    silent = prepare(Unlabelled("silent"), tmp_path / "silent", progress=False).folder
    with pytest.raises(CorpusError, match="'silent' has no labels of two classes") as error:
        plan([two[0], silent], tmp_path / "out", tiny)
    assert "--target" in str(error.value)
    made = plan([two[0], silent], tmp_path / "out", tiny, targets=("one",))
    assert [target.name for target in made.targets] == ["one"] and made.sources(made.targets[0]) == ["silent"]


def test_what_could_not_be_trained_on_or_split_is_found_at_once(two, prepared, tmp_path, tiny):
    alone = prepared("alone", shown={("s0", 1): STIMULI})
    for objective in ("mdjpt", "mdjpt+masked"):
        with pytest.raises(PairingError, match="alone"):
            plan([two[0], alone], tmp_path, tiny, settings={"objective": objective})
    pair = prepared("pair", shown={(f"s{n}", 1): STIMULI for n in range(2)})
    with pytest.raises(SplitError, match="2 of 2 subjects"):
        plan([two[0], pair], tmp_path, tiny)
    assert plan([two[0], pair], tmp_path, tiny, targets=("one",)).targets


# ---- the folder


def test_a_folder_is_gone_on_with_by_the_same_settings_only(two, prepared, tmp_path, tiny):
    out = tmp_path / "out"
    take_folder(plan(two, out, tiny))
    take_folder(plan(two, out, tiny, targets=("two",)))  # another row of the same table
    take_folder(plan(two, out, tiny, settings={"num_workers": 2}))  # changes nothing in the result
    for changes, message in (
        ({"seed": 1}, "seed: 0 → 1"),
        ({"permutations": 7}, "permutations: 100 → 7"),
        ({"settings": {"steps": 9}}, "pretraining.steps: 2 → 9"),
        ({"settings": {"model": {"hidden_size": 16}}}, "pretraining.model.hidden_size: 8 → 16"),
    ):
        with pytest.raises(ConfigurationError, match=message) as error:
            take_folder(plan(two, out, tiny, **changes))
        assert "another --out" in str(error.value) and error.value.path == str(out)
    with pytest.raises(ConfigurationError, match="corpora.three: None → '"):
        take_folder(plan([*two, prepared("three", seed=2)], out, tiny))
    before = json.loads((out / PLAN_FILE).read_text())
    assert before["corpora"] == {trials.name: trials.fingerprint for trials in open_corpora(two)}
    (out / PLAN_FILE).unlink()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="holds something else"):
        take_folder(plan(two, out, tiny))


# ---- classes of a corpus that has only ratings


def test_clips_are_high_or_low_for_everybody(toy_corpus, tmp_path):
    means = {"clip0": 0.2, "clip1": 0.9, "clip2": 0.6, "clip3": 0.4}

    class Rated(toy_corpus):
        def trial(self, subject, session, position, stimulus):
            trial = super().trial(subject, session, position, stimulus)
            trial.label, trial.label_name = -1, ""
            trial.valence = np.nan if subject == "s2" else means[stimulus] + (0.1 if subject == "s1" else -0.1)
            return trial

    folder = prepare(Rated("rated"), tmp_path / "rated", progress=False).folder
    (trials,) = open_corpora([folder])
    found = dict(zip(trials.stimulus.tolist(), trials.clip_valence.tolist(), strict=True))
    assert found == {"clip0": 0, "clip1": 1, "clip2": 1, "clip3": 0}
    assert [found[stimulus] for stimulus in trials.stimulus] == trials.clip_valence.tolist()  # also who rated nothing
    pool = open_pool([trials], "clip_valence", 2.0)
    assert pool.classes == ("low", "high") and pool.label.mean() == 0.5
    unrated = trials.select(trials.subject == "s2")
    assert (unrated.clip_valence == -1).all()
