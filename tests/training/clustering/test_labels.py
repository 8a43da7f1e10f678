"""Pseudo-labels of whole corpora: features, their order, their files, and what they are held against."""

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.spectra import differential_entropy
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.configuration_masked_eeg import MaskedEEGConfig
from mdjpt_hf.modeling.modeling_masked_eeg import MaskedEEGModel
from mdjpt_hf.training.clustering.codebook import ClusteringSettings
from mdjpt_hf.training.clustering.diagnostics import guess_accuracies, report_clusters
from mdjpt_hf.training.clustering.features import entropy_per_token, recording_features, states_per_token
from mdjpt_hf.training.clustering.labels import cluster_tokens, label_tokens, labels_hash, open_labels

SETTINGS = ClusteringSettings(((3, 4), (6, 8)), components=5, batches=5, batch_size=128, sample=200)
ENTROPY = entropy_per_token(125.0, 25)


@pytest.fixture
def corpora(prepared):
    """Two datasets; sessions and trials of one come in an odd order."""
    shown = {("p2", 2): ["c", "a"], ("p1", 1): ["b", "a"], ("p2", 1): ["a"], ("p3", 1): ["a", "b"]}
    return [prepared("one", seconds=4.3), prepared("two", shown=shown, seconds=3.1)]


def index(paths) -> TokenIndex:
    return TokenIndex(open_corpora(paths), 25, 250)


def by_identity(tokens: TokenIndex, labels: np.ndarray) -> dict:
    found = {}
    for part in tokens.recordings:
        trials = tokens.trial_sets[part.dataset]
        for trial, count in zip(part.trials, part.num_tokens, strict=True):
            first = tokens.first_token[part.dataset][trial]
            key = (part.name, part.subject, part.session, trials.stimulus[trial])
            found[key] = labels[first : first + count].tolist()
    return found


def test_tokens_are_numbered_by_identity(corpora):
    tokens = index(corpora)
    identities = [(part.name, part.subject, part.session) for part in tokens.recordings]
    assert identities == sorted(identities) and len(identities) == 3 + 4
    assert tokens.num_tokens == 3 * 4 * 21 + 7 * 15  # 4.3 s and 3.1 s
    ranges = [part.tokens for part in tokens.recordings]
    assert ranges[0].start == 0 and all(a.stop == b.start for a, b in zip(ranges, ranges[1:], strict=False))
    signal = tokens.signal(0, 1, first=3, count=2)
    assert np.array_equal(signal, tokens.trial_sets[0].window(1, 75, 50))
    with pytest.raises(CorpusError, match="no trial of 20 s or more"):
        TokenIndex(open_corpora(corpora), 25, 2500)


def test_pseudo_labels_do_not_depend_on_the_order_of_the_data(corpora, tmp_path):
    found = []
    for number, paths in enumerate((corpora, corpora[::-1])):
        tokens = index(paths)
        if number:  # rows of a dataset shuffled as well
            tokens = TokenIndex([shuffled(trials) for trials in tokens.trial_sets], 25, 250)
        cluster_tokens(tokens, ENTROPY, tmp_path / f"{number}.npy", SETTINGS, seed=4)
        found.append(by_identity(tokens, open_labels(tmp_path / f"{number}.npy")))
    assert found[0] == found[1]


def shuffled(trials):
    order = np.random.default_rng(0).permutation(len(trials))
    columns = ("rows", "subject", "session", "trial", "stimulus", "label", "valence_class", "n_samples")
    for name in columns:
        setattr(trials, name, getattr(trials, name)[order])
    trials.ch_names = [trials.ch_names[row] for row in order]
    return trials


def test_labels_are_made_again_from_the_codebook(corpora, tmp_path):
    tokens = index(corpora)
    held_out = frozenset({("one", "s0")})
    codebook = cluster_tokens(tokens, ENTROPY, tmp_path / "a.npy", SETTINGS, 4, held_out)
    label_tokens(tokens, ENTROPY, tmp_path / "b.npy", codebook)
    one, two = open_labels(tmp_path / "a.npy"), open_labels(tmp_path / "b.npy")
    assert one.shape == (tokens.num_tokens, 2) and labels_hash(one) == labels_hash(two)
    assert (one.max(axis=0) < codebook.counts).all() and isinstance(one, np.memmap)
    changed = np.array(one)
    changed[-1, 1] += 1
    assert labels_hash(changed) != labels_hash(one)
    assert sorted(path.name for path in tmp_path.glob("[!.]*") if path.is_file()) == ["a.npy", "b.npy"]
    whole = cluster_tokens(tokens, ENTROPY, tmp_path / "c.npy", SETTINGS, 4)
    assert not np.array_equal(whole.mean, codebook.mean)  # nothing is fitted to subjects held out


def test_entropy_is_that_of_the_second_around_each_token():
    signal = np.random.default_rng(0).normal(size=(3, 260)).astype(np.float32)
    found = ENTROPY(signal)
    assert found.shape == (10, 15)
    np.testing.assert_allclose(found[4], differential_entropy(signal[:, 50:175], 125.0), rtol=1e-5)  # samples 100-124
    mirrored = np.concatenate([signal[:, 50:0:-1], signal[:, :75]], axis=1)
    np.testing.assert_allclose(found[0], differential_entropy(mirrored, 125.0), rtol=1e-5)


def test_features_are_normalised_within_each_recording(corpora):
    for part, values in recording_features(index(corpora), ENTROPY):
        assert len(values) == part.num_tokens.sum() and values.dtype == np.float32
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-2)


@torch.no_grad()
def test_states_of_a_trial_come_from_windows_that_cover_it():
    torch.manual_seed(0)
    sizes = {"window_seconds": 2.0, "hidden_size": 16, "num_attention_heads": 2, "spatial_filters": 4}
    model = MaskedEEGModel(MaskedEEGConfig.preset("tiny", **sizes)).eval()
    signal = torch.randn(60, 23 * 25)
    found = states_per_token(model, 250, 25, batch_size=2)(signal.numpy())
    wanted = torch.cat(
        [
            model(signal[None, :, :250]).intermediate_state[0],
            model(signal[None, :, 250:500]).intermediate_state[0],
            model(signal[None, :, 325:575]).intermediate_state[0, 7:],
        ]
    )
    assert found.shape == (23, 16)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    exact = states_per_token(model, 250, 25)(signal[:, :500].numpy())
    np.testing.assert_allclose(exact, wanted[:20].numpy(), atol=1e-5)


def test_reports_say_what_clusters_name(corpora):
    tokens = index(corpora)
    labels = np.zeros((tokens.num_tokens, 2), dtype=np.int16)
    subjects = np.zeros(tokens.num_tokens, dtype=int)
    for number, part in enumerate(tokens.recordings):
        labels[part.tokens, 0] = part.dataset
        subjects[part.tokens] = number
    rng = np.random.default_rng(0)
    labels[:, 1] = rng.integers(0, 4, tokens.num_tokens)
    first, second = report_clusters(tokens, labels, [2, 4])
    datasets = labels[:, 0]
    assert first.nmi["dataset"] == pytest.approx(1.0) and second.nmi["dataset"] < 0.05
    assert second.nmi["dataset"] == pytest.approx(normalized_mutual_info_score(datasets, labels[:, 1]))
    assert 3.9 < second.perplexity < 4 and second.smallest <= 0.25 <= second.largest
    assert second.nmi["emotion"] == 0.0  # unknown in these corpora


def test_guesses_without_the_signal(corpora):
    tokens = index(corpora)
    labels = np.full((tokens.num_tokens, 1), 2, dtype=np.int16)
    held_out = {("one", "s1")}
    for part in tokens.recordings:
        if (part.name, part.subject) in held_out:
            labels[part.tokens, 0] = np.arange(part.num_tokens.sum()) % 4 == 0  # a quarter 1, the rest 0
        elif part.name == "one":
            labels[part.tokens, 0] = 1
    (guess,) = guess_accuracies(tokens, labels, [3], held_out)
    trained = labels[:, 0][[not held for held in held_rows(tokens, held_out)]]
    shares = np.bincount(trained, minlength=3) / len(trained)
    assert guess["majority"] == pytest.approx(0.25)  # 1 is the most frequent in training
    assert guess["unigram"] == pytest.approx(0.25 * shares[1] + 0.75 * shares[0])
    assert guess["dataset"] == guess["recording"] == pytest.approx(0.75)
    (everybody,) = guess_accuracies(tokens, labels, [3], set())
    assert everybody["recording"] > everybody["majority"]


def held_rows(tokens: TokenIndex, held_out) -> list[bool]:
    rows = [False] * tokens.num_tokens
    for part in tokens.recordings:
        if (part.name, part.subject) in held_out:
            rows[part.tokens] = [True] * (part.tokens.stop - part.tokens.start)
    return rows
