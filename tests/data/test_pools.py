"""Pairs across corpora that show the same clips: who meets whom, from which moments, and what is refused."""

import json
import pickle
import shutil
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.exposure import SAW_STIMULI, exposure, training_sets
from mdjpt_hf.data.joint import JointSteps
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.pools import PooledSampler, PooledTrials, pools_of
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.data_scripts.faced import FACED
from mdjpt_hf.data_scripts.thu_ep import THUEP
from mdjpt_hf.data_scripts.tsinghua_clips import PARTS
from mdjpt_hf.errors import ConfigurationError, PairingError
from mdjpt_hf.modeling.objectives_mdjpt import find_positives
from mdjpt_hf.pretraining import pretrain
from mdjpt_hf.training.alignment import pair_samplers
from mdjpt_hf.training.config import RunConfig, load_run_config
from mdjpt_hf.training.departures import departures

from .test_pairs import trial_set

CLIPS = ["u", "v", "w"]
MODEL = {"preset": "tiny", "hidden_size": 8, "feature_size": 4, "spatial_channels": 6, "intermediate_size": 12}


@pytest.fixture
def sharing(toy_corpus, tmp_path):
    """Prepares a corpus whose clips are those of the others made here, unless told otherwise."""

    def make(name: str, people=4, clips=CLIPS, seconds=12.0, stimulus_set="films", **more):
        shown = {(f"{name}{number}", 1): list(clips) for number in range(people)}
        builder = toy_corpus(name, shown=more.pop("shown", shown), seconds=seconds, **more)
        told = [replace(facts, stimulus_set=stimulus_set) for facts in builder.facts]
        kind = type("Sharing", (toy_corpus,), {"facts": told})
        builder.__class__ = kind
        return prepare(builder, tmp_path / name, progress=False).folder

    return make


def config(**changes) -> RunConfig:
    return RunConfig(pairs_across="clips", model=MODEL, **changes)


people = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.integers(1, 2)),
    st.lists(st.tuples(st.sampled_from("uvwxyz"), st.integers(80, 300)), min_size=1, max_size=6),
    min_size=1,
    max_size=6,
)


def named(name, shown):
    trials = trial_set(shown)
    trials.name = name
    trials.__dict__.update(facts={}, stimulus_set="films")
    return trials


@given(one=people, other=people, third=people, seed=st.integers(0, 2**31), viewers=st.integers(2, 4))
@settings(max_examples=200, deadline=None)
def test_candidates_and_draws_are_those_of_everybody_against_everybody(one, other, third, seed, viewers):
    parts = [named(name, shown) for name, shown in (("A", one), ("B", other), ("C", third))]
    seen = {
        (part.name, session, subject): {clip for clip, samples in clips if samples >= 100}
        for part, shown in zip(parts, (one, other, third), strict=True)
        for (subject, session), clips in shown.items()
    }
    meet = {
        frozenset(two)
        for two in combinations(seen, 2)
        if "A" in (two[0][0], two[1][0])
        and (two[0][0] != two[1][0] or two[0][1] == two[1][1])
        and len(seen[two[0]] & seen[two[1]]) >= 2
    }
    if not meet:
        with pytest.raises(PairingError, match="nobody in it shares two stimuli with anybody in it or in B, C"):
            PooledSampler(PooledTrials(parts), 100)
        return
    sampler = PooledSampler(PooledTrials(parts), 100, viewers=viewers, clips=2)
    pool = sampler.pool
    assert len(sampler.candidates) == len(meet) == len(list(sampler.candidates))
    assert sampler.candidates.across == sum(len({name for name, *_ in two}) == 2 for two in meet)
    drawn = sampler.draw(np.random.default_rng(seed))
    who = [{("ABC"[pool.corpus[t]], int(pool.session[t]), str(pool.subject[t])) for t in row} for row in drawn.trials]
    assert all(len(viewer) == 1 for viewer in who) and 2 <= len(set.union(*who)) == len(who) <= viewers
    everybody = [viewer for one_row in who for viewer in one_row]
    assert frozenset(everybody[:2]) in meet
    for (name, session, subject), (another, when, person) in combinations(everybody, 2):
        assert name != another or (session == when and subject != person)
    assert (pool.stimulus[drawn.trials] == pool.stimulus[drawn.trials[0]]).all() and drawn.trials.shape[1] == 2
    assert (drawn.starts >= 0).all() and (drawn.starts + 100 <= pool.n_samples[drawn.trials]).all()
    for row, name in enumerate(name for name, *_ in everybody):
        first = next(place for place, (other_name, *_) in enumerate(everybody) if other_name == name)
        np.testing.assert_array_equal(drawn.starts[row], drawn.starts[first])  # within a corpus the same moment


def test_windows_of_two_corpora_come_from_anywhere_in_the_clip_unless_moments_are_known():
    long = {(subject, 1): [(clip, 2000) for clip in CLIPS] for subject in "ab"}
    short = {(subject, 1): [(clip, 300) for clip in CLIPS] for subject in "cd"}
    pool = PooledTrials([named("long", long), named("short", short)])
    for moments in (False, True):
        sampler = PooledSampler(pool, 100, moments=moments)
        drawn = [sampler.draw(np.random.default_rng(seed)) for seed in range(300)]
        across = [one for one in drawn if len(set(pool.corpus[one.trials[:, 0]])) == 2]
        assert 0.5 < len(across) / len(drawn) < 0.95  # 4 of the 5 pairs that it begins
        starts = np.concatenate([one.starts[pool.corpus[one.trials[:, 0]] == 0].ravel() for one in across])
        assert (starts.max() > 1500) == (not moments)
        assert all((one.starts[0] == one.starts[1]).all() for one in across) == moments


def test_every_corpus_keeps_its_place_in_a_step_and_positives_may_be_of_another(sharing):
    trial_sets = open_corpora(
        [sharing("one"), sharing("two", people=9, seconds=9.0), sharing("alone", stimulus_set="")]
    )
    training, held_out = pair_samplers(config(held_out_subjects=2, viewers=3, clips=2), trial_sets)
    assert list(training) == ["one", "two", "alone"] and list(held_out) == ["two"]
    assert training["one"].corpora == ("one", "two") and training["alone"].corpora == ("alone",)
    assert held_out["two"].corpora == ("two",)
    out = set(held_out["two"].trials.subject)
    steps = PretrainingSteps(list(training.values()), 30, 10, seed=1, pairs_per_dataset=2)
    met = set()
    for step in range(30):
        for dataset, _, viewing in steps.draw(step):
            trials = steps.samplers[dataset].trials
            assert not out & set(trials.subject[viewing.trials.ravel()])
            met.add((dataset, *sorted({trials.origin(int(trial))[0] for trial in viewing.trials.ravel()})))
    assert {(0, "one", "two"), (1, "one", "two"), (2, "alone")} <= met
    assert not any(dataset == 2 and len(names) > 1 for dataset, *names in met)
    batch = steps[3]
    assert batch["dataset_ids"].unique().tolist() == [0, 1, 2]
    positives, _ = find_positives(batch["group_ids"], batch["dataset_ids"], batch["stimulus_ids"], several=True)
    assert (positives.sum(dim=1) == 2).all()  # three viewers of each
    for dataset, _, viewing in steps.draw(3):
        trials = steps.samplers[dataset].trials
        own = {one.name: one for one in trial_sets}
        for trial, start in zip(viewing.trials.ravel(), viewing.starts.ravel(), strict=True):
            name, row = trials.origin(int(trial))
            place = int(np.flatnonzero(own[name].rows == row)[0])
            np.testing.assert_array_equal(trials.window(trial, start, 625), own[name].window(place, start, 625))


def test_two_processes_data_workers_and_streams_draw_what_one_process_draws(sharing, tmp_path, cache):
    folders = [sharing("one"), sharing("two", people=5)]
    alone = plan(open_corpora(folders))
    parts = [plan(open_corpora(folders), rank=rank, world_size=2) for rank in range(2)]
    streams = [f"stream:{write_parquet(folder, tmp_path / 'parquet' / folder.name)}" for folder in folders]
    streamed, sent = plan(open_corpora(streams)), pickle.loads(pickle.dumps(alone))
    for step in (0, 5, 2):
        wanted = alone[step]
        for same in (streamed[step], sent[step]):
            assert all(torch.equal(wanted[name], same[name]) for name in wanted)
        together = torch.cat([part[step]["input_values"] for part in parts])
        assert sorted(map(float, together.sum(dim=(1, 2)))) == sorted(
            map(float, wanted["input_values"].sum(dim=(1, 2)))
        )


def plan(trial_sets, **processes) -> PretrainingSteps:
    samplers = list(pair_samplers(config(), trial_sets)[0].values())
    return PretrainingSteps(samplers, 6, 3, seed=7, pairs_per_dataset=2, **processes)


def test_pseudo_labels_are_those_of_the_corpus_that_a_window_is_of(sharing):
    trial_sets = open_corpora([sharing("one"), sharing("two", people=5, seconds=9.0)])
    index = TokenIndex(trial_sets, 25, 625)
    labels = np.stack([np.arange(index.num_tokens)] * 2, axis=1)
    samplers = list(pair_samplers(config(), trial_sets, grid=25)[0].values())
    steps = JointSteps(index, labels, 0.5, 5, samplers=samplers, num_steps=9, steps_per_epoch=9, seed=2)
    for step in range(9):
        batch = steps[step]
        for window, told in zip(batch["input_values"], batch["labels"][:, :, 0], strict=True):
            dataset, trial = next(
                (d, t)
                for d, starts in enumerate(index.first_token)
                for t, start in enumerate(starts)
                if start <= int(told[0]) < start + trial_sets[d].n_samples[t] // 25
            )
            start = int(told[0]) - int(index.first_token[dataset][trial])
            np.testing.assert_array_equal(window, index.signal(dataset, trial, start, 25))


def test_a_corpus_whose_people_share_nothing_can_be_paired_with_another(sharing):
    lonely = sharing("lonely", people=1)
    with pytest.raises(PairingError, match="it has 1 subject"):
        pair_samplers(RunConfig(model=MODEL), open_corpora([lonely]))
    samplers, held_out = pair_samplers(config(), open_corpora([lonely, sharing("two")]))
    assert samplers["lonely"].candidates.across == len(samplers["lonely"].candidates) == 4 and not held_out


def test_what_cannot_be_paired_across_is_refused_with_the_reason(sharing, tmp_path):
    one = sharing("one")
    with pytest.raises(
        PairingError, match="no pairs across one, own: no two of these corpora are known to show the same"
    ):
        pair_samplers(config(), open_corpora([one, sharing("own", stimulus_set="")]))
    with pytest.raises(PairingError, match="two clips of the same id, which are such as u, v, w; x1, x2"):
        pair_samplers(config(), open_corpora([one, sharing("other", clips=["x1", "x2"])]))
    with pytest.raises(PairingError, match="one and copy have 4 recordings in common"):
        pair_samplers(config(), open_corpora([one, copied(one, tmp_path / "copy", "copy")]))


def copied(folder, to, name):
    """The same recordings under another name of the corpus."""
    from datasets import load_from_disk

    from mdjpt_hf.data.storage import CORPUS_FILE

    rows = load_from_disk(str(folder)).map(lambda row: {"dataset": name})
    rows.save_to_disk(str(to))
    told = json.loads((folder / CORPUS_FILE).read_text())
    told["facts"][0]["name"] = name
    told["shards"] = []
    for entry in told["recordings"]:
        entry["dataset"] = name
    (to / CORPUS_FILE).write_text(json.dumps(told))
    return to


def test_moments_are_refused_where_sources_name_other_parts_of_the_clips_or_none(sharing):
    """FACED's processed files hold the last 30 s, its recordings everything; of THU-EP no source says which part."""

    trial_sets = open_corpora([sharing(name) for name in ("faced", "thu_ep", "own", "own2")])
    faced, thu_ep, own, own2 = trial_sets
    pools_of(trial_sets, "clips")
    assert set(pools_of([own, own2], "moments")) == {"own", "own2"}  # their users speak for them
    with pytest.raises(PairingError, match="faced holds a part of it that no source names.*pairs_across: clips"):
        pools_of([faced, own], "moments")
    for product, others, fits in (
        ("Processed_data", [own], True),
        ("Data", [own, own2], True),
        ("Data", [thu_ep], False),
        ("Processed_data", [thu_ep, own], False),
    ):
        with_product(faced, product), with_product(thu_ep, "EEG data")
        if fits:
            assert len(pools_of([faced, *others], "moments")) == 1 + len(others)
        else:
            with pytest.raises(
                PairingError, match="faced holds (its last 30 s|all of it); thu_ep holds a part of it that"
            ):
                pools_of([faced, *others], "moments")


def with_product(trials, product):
    path = trials.folder / "corpus.json"
    told = json.loads(path.read_text())
    told["options"]["product"] = product
    path.write_text(json.dumps(told))


def test_parts_of_clips_are_named_by_the_products_that_readers_know():
    for reader in (FACED, THUEP):
        assert set(PARTS[reader.about.name]) == {product.name for product in reader.products}


def test_the_setting_is_a_departure_and_changes_no_run_of_before():
    (line,) = departures(load_run_config("paper", pairs_across="clips"))
    assert "viewers of different corpora that show the same clips are paired as well (clips)" in line
    assert load_run_config("paper").key(1) == replace(load_run_config("paper"), pairs_across=False).key(1)
    assert "pairs_across" not in RunConfig().deciding() and config().deciding()["pairs_across"] == "clips"
    assert config().key(1) != replace(config(), pairs_across="moments").key(1)
    with pytest.raises(ConfigurationError, match="pairs_across must be one of"):
        RunConfig(pairs_across="sometimes")
    with pytest.raises(ConfigurationError, match="masked has no pairs"):
        load_run_config("masked", pairs_across="clips")
    with pytest.raises(ConfigurationError, match="where aligned_pairs is false"):
        RunConfig(pairs_across="moments", aligned_pairs=False)


def test_a_run_across_corpora_goes_on_to_the_same_bits_and_is_on_record(sharing, tmp_path, caplog):
    caplog.set_level("INFO")
    data = (str(sharing("one", people=5)), str(sharing("two", people=7)))
    run = {"steps": 6, "steps_per_epoch": 4, "eval_steps": 3, "checkpoint_steps": 2, "trackers": (), "num_threads": 1}
    settings = config(data=data, output_dir=str(tmp_path / "run"), **run)
    folder = pretrain(settings)
    assert "two: paired with one as well, 71% of the pairs it begins" in caplog.text
    weights = (folder / "model.safetensors").read_bytes()
    record = json.loads((folder / "run_record.json").read_text())
    assert any("same clips are paired as well (clips)" in line for line in record["departures"])
    sets = training_sets(record["datasets"])
    met = exposure("three", "films", {"pretrained_on": list(sets), "stimulus_sets": sets})
    assert met == {"saw_this_corpus": SAW_STIMULI, "saw_stimuli_in": ["one", "two"]}
    history = json.loads((folder / "history.json").read_text())
    assert {"isa/one", "isa/two", "retrieval/two"} <= {name for entry in history for name in entry}
    shutil.rmtree(folder / "checkpoints" / "step-00000006")
    (folder / "model.safetensors").unlink()
    assert (pretrain(settings, resume=True) / "model.safetensors").read_bytes() == weights
    plain = replace(settings, pairs_across="no", output_dir=str(tmp_path / "plain"))
    assert (pretrain(plain) / "model.safetensors").read_bytes() != weights


def test_without_the_setting_nothing_is_drawn_otherwise(sharing):
    trial_sets = open_corpora([sharing("one"), sharing("two", people=5)])
    samplers = pair_samplers(RunConfig(model=MODEL, held_out_subjects=0), trial_sets)[0]
    for trials, sampler in zip(trial_sets, samplers.values(), strict=True):
        assert type(sampler) is PairSampler and sampler.trials is trials
