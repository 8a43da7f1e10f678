"""Heads of many labellings at once give what each gives when it is trained by itself, in the plain way."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from mdjpt_hf.evaluation.encoders import EPOCHS, Encoder
from mdjpt_hf.evaluation.protocols import Pool, draw_splits, honest
from mdjpt_hf.evaluation.readout import STRENGTHS, Features, asker, prepare
from mdjpt_hf.evaluation.scores import labellings


@pytest.fixture(scope="module")
def pool(make_pool) -> Pool:
    """8 subjects x 6 stimuli (3 classes) x 2 to 7 windows, so that halves of the stimuli are unlike in size."""
    return make_pool(lambda subject, stimulus: 2 + (subject + stimulus * stimulus) % 6)


def plain_ridge(train, label, asked, seed):
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
    inputs, targets = (train - mean) / spread, np.eye(3)[label]
    fits = (Ridge(strength * len(train)).fit(inputs, targets) for strength in STRENGTHS)
    return np.stack([fit.predict((asked - mean) / spread) for fit in fits])


def plain_mlp(train, label, asked, seed):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    hidden = (
        nn.Linear(train.shape[1], 128),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(0.1),
    )
    network = nn.Sequential(*hidden, nn.Linear(64, 3))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-4, weight_decay=2.2e-3)
    inputs, targets, wanted = torch.tensor(train).float(), torch.tensor(label), torch.tensor(asked).float()
    answers = []
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(train), generator=generator).split(max(8, min(256, len(train) // 8))):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network.train()(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        answers.append(network.eval()(wanted).detach().numpy())
    return np.stack(answers)


def right(logits, label):
    return (logits.argmax(axis=-1) == label).mean(axis=-1)


def plainly(values, pool, protocol, split, labelling, seed):
    """Logits `(test, classes)` of one labelling in one split, and the number of the candidate they are of."""
    fit = {"ridge": plain_ridge, "mlp": plain_mlp}[protocol.head]
    train, validation, test = split.parts(pool.subject, labelling.stimulus)
    label = labelling.label
    logits = fit(values[train], label[train], values[np.concatenate([validation, test])], seed)
    chosen = len(logits) // 2
    if protocol.selection == "test":
        chosen = right(logits[:, len(validation) :], label[test]).argmax()
    elif protocol.selection == "source":
        first = np.isin(pool.subject[train], np.unique(pool.subject[train])[::2])
        total = 0
        for here, there in ((train[first], train[~first]), (train[~first], train[first])):
            total = total + right(fit(values[here], label[here], values[there], seed), label[there]) * len(there)
        chosen = total.argmax()
    elif len(validation):
        chosen = right(logits[:, : len(validation)], label[validation]).argmax()
    return logits[chosen][len(validation) :], chosen


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("few-shot", {"head": "mlp"}),
        ("few-shot", {"head": "mlp", "selection": "test", "stimulus_disjoint": False}),
        ("leave-one-subject-out", {"head": "mlp", "selection": "source", "normalisation": "online"}),
        ("few-shot", {"selection": "source", "validation": 0.0}),
        ("leave-one-subject-out", {"normalisation": "online"}),
        ("within-subject", {"stimulus_disjoint": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [12, 200])
def test_many_labellings_are_answered_as_one_by_one(pool, name, choices, size):
    features = np.random.default_rng(size).normal(size=(len(pool), size)) + 0.4 * pool.label[:, None]
    protocol, encoder = honest(name, **choices), Encoder("given", {}, lambda pool, groups: features)
    splits = list(draw_splits(pool, protocol, "one", {}, seed=0).splits)[:3]
    dealt = labellings(pool, 3, seed=5)
    found = asker(Features(pool), encoder, protocol, splits, seed=3).all(dealt)
    for answers, labelling in zip(found, dealt, strict=True):
        for place, number in enumerate(np.unique(answers.split)):
            people = splits[number].train if protocol.normalisation == "online" else ()
            values = prepare(features, pool, protocol, np.isin(pool.subject, people))
            logits, chosen = plainly(values, pool, protocol, splits[number], labelling, 3 + int(number))
            shares = torch.softmax(torch.tensor(logits) / answers.temperature[place], dim=1).numpy()
            assert answers.candidate[place] == chosen
            assert answers.probabilities[answers.split == number] == pytest.approx(shares, abs=2e-4)
    assert len({answers.probabilities.tobytes() for answers in found}) > 1
