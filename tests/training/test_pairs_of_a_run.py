"""A run goes on only with the pairs that it began with."""

import json
import shutil
from types import SimpleNamespace

import pytest

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import CheckpointError
from mdjpt_hf.pretraining import pretrain
from mdjpt_hf.training.alignment import AlignmentObjective
from mdjpt_hf.training.checkpoint import STATE_FILE, _hash
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.objective import ObjectiveState

ONE = SimpleNamespace(num_processes=1, process_index=0)
SHOWN = {(f"s{number}", 1): ["a", "b", "a #2", "c", "a #3"] for number in range(4)}
SETTINGS = {"steps": 4, "steps_per_epoch": 2, "checkpoint_steps": 2, "eval_steps": 4, "num_threads": 1, "trackers": ()}


@pytest.fixture
def folder(toy_corpus, tmp_path):
    """Whose ids are names that somebody gave, and none of a later showing, until [`as_before`]."""

    class Asked(toy_corpus):
        def options(self):
            return super().options() | {"label_source": "stimulus", "showings": "one stimulus"}

    return prepare(Asked(shown=SHOWN), tmp_path / "toy", progress=False).folder


def as_before(folder):
    """Without the word on showings, as earlier versions wrote it: `a #2` is read as `a`, and the rows are the same."""
    about = json.loads((folder / "corpus.json").read_text())
    del about["options"]["showings"]
    (folder / "corpus.json").write_text(json.dumps(about))


def objective(folder, accelerator=ONE, **changes):
    config = RunConfig(data=(str(folder),), held_out_subjects=0, **{**SETTINGS, **changes})
    return AlignmentObjective(config, open_corpora([folder]), accelerator)


def test_pairs_are_known_by_what_is_drawn_alike_on_every_process(folder):
    own = objective(folder)
    assert own.pairs == objective(folder).pairs
    own.restore(own.state())
    own.restore(ObjectiveState())  # of a version that did not record them
    seen = [objective(folder, SimpleNamespace(num_processes=2, process_index=rank)).pairs for rank in (0, 1)]
    assert seen[0] == seen[1]
    others = [objective(folder, **change).pairs for change in ({"seed": 1}, {"viewers": 3}, {"aligned_pairs": False})]
    assert len({own.pairs, seen[0], *others}) == 5
    for other in others:
        with pytest.raises(CheckpointError, match="began with other pairs of subjects than are drawn now from toy"):
            own.restore(ObjectiveState(facts={"pairs": other}))


def test_clips_that_are_read_otherwise_make_other_pairs(folder):
    before = objective(folder).state()
    as_before(folder)
    now = objective(folder)
    now.restore(now.state())
    for state in (before, ObjectiveState()):
        with pytest.raises(CheckpointError, match="clips shown again are read as one stimulus"):
            now.restore(state)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_run_is_not_resumed_with_other_pairs(folder, tmp_path, recorded):
    model = {"preset": "tiny", "hidden_size": 8, "num_attention_heads": 2, "feature_size": 4}
    out = tmp_path / "run"
    config = RunConfig(data=(str(folder),), output_dir=str(out), model=model, held_out_subjects=0, **SETTINGS)
    pretrain(config)
    shutil.rmtree(out / "checkpoints" / "step-00000004")
    if not recorded:
        path = out / "checkpoints" / "step-00000002" / STATE_FILE
        state = json.loads(path.read_text())
        del state["digest"], state["objective"]["pairs"]
        path.write_text(json.dumps({**state, "digest": _hash(state)}))
    pretrain(config, resume=True)
    shutil.rmtree(out / "checkpoints" / "step-00000004")
    as_before(folder)
    with pytest.raises(CheckpointError, match="began with other pairs"):
        pretrain(config, resume=True)
