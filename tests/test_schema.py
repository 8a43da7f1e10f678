"""The one schema: what it stores, and everything it refuses by name."""

from dataclasses import replace

import numpy as np
import pytest

from mdjpt_hf.errors import SchemaError, UnitError
from mdjpt_hf.schema import EMOTIONS, TRIAL_FEATURES, VALENCE_CLASSES, Trial, trial_signal


def make_trial(**changes) -> Trial:
    rng = np.random.default_rng(0)
    trial = Trial("toy", "s1", 1, 0, "clip", rng.normal(0, 10, (3, 500)), 125.0, ["Fz", "Cz", "Pz"], 1, "joy")
    return replace(trial, **changes)


def test_a_row_has_exactly_the_columns_of_the_schema_and_gives_the_signal_back():
    trial = make_trial(emotion="joy", valence_class="positive", arousal=0.5)
    row = trial.to_row()
    assert set(row) == set(TRIAL_FEATURES)
    assert row["signal"].dtype == np.float32 and row["signal"].shape == (1500,)
    np.testing.assert_array_equal(trial_signal(row), trial.signal.astype(np.float32))
    assert EMOTIONS[row["emotion"]] == "joy" and VALENCE_CLASSES[row["valence_class"]] == "positive"
    assert row["n_samples"] == 500 and row["arousal"] == 0.5 and np.isnan(row["valence"])


def test_unknown_labels_are_minus_one():
    row = make_trial(label=-1, label_name="").to_row()
    assert (row["label"], row["emotion"], row["valence_class"]) == (-1, -1, -1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal": np.ones((4, 500))}, r"3 channels, found \(4, 500\)"),
        ({"signal": np.ones(500)}, r"found \(500,\)"),
        ({"signal": np.ones((3, 0))}, "the trial is empty"),
        ({"ch_names": ["Fz", "Cz", "Fz"]}, r"duplicate channels \['Fz'\]"),
        ({"sampling_rate": 0.0}, "sampling_rate must be positive"),
        ({"subject": ""}, "subject must be a non-empty string"),
        ({"stimulus": None}, "stimulus must be a non-empty string"),
        ({"dataset": "toy/one"}, r"a dataset is called 'toy/one'"),
        ({"trial": -2}, "found -2"),
        ({"emotion": "hunger"}, "'hunger' is not in the common vocabulary"),
        ({"valence_class": "good"}, "'good' is not in the common vocabulary"),
        ({"valence": 7.0}, r"valence 7.0 lies outside \[0, 1\]"),
        ({"label": -1}, "do not go together"),
        ({"label_name": ""}, "do not go together"),
    ],
)
def test_refusals_name_the_trial_and_the_value(changes, message):
    with pytest.raises(SchemaError, match=message) as caught:
        make_trial(**changes).to_row()
    assert "toy" in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_samples_are_located(value):
    signal = make_trial().signal.copy()
    signal[1, 77] = value
    with pytest.raises(SchemaError, match="channel Cz, sample 77"):
        make_trial(signal=signal).to_row()


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_unit_mistakes_are_caught_both_ways(factor):
    with pytest.raises(UnitError, match="typical amplitude"):
        make_trial(signal=make_trial().signal * factor).to_row()


def test_a_large_offset_is_no_unit_mistake():
    make_trial(signal=make_trial().signal + 4200).to_row()
