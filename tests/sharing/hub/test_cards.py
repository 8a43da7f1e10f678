"""A card says what the records say, all of it, or is refused with the list of what they do not."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from run_folder import comparison, dataset, make_run, record, scores

from mdjpt_hf.errors import CardError
from mdjpt_hf.sharing.cards import REQUIRED, gather_facts, missing_facts, model_card

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "tests" / "sharing" / "hub" / "demo"


def facts(**changes):
    return {**record(), "results": [comparison()], "licence": "apache-2.0", "base_model": "", **changes}


def card(**changes) -> str:
    return model_card(facts(**changes), "user/toy")


def test_the_text_says_everything_on_record():
    text = card(base_model="user/older", datasets=[dataset(), dataset("real", simulated=False, citation="@misc{real}")])
    for told in (
        "4,321 parameters, trained from user/older on 2.5 h of recordings of 14 subjects in 2 datasets",
        "| real | Corpus real | CC0-1.0 | 7, 2 of them held out | 35 | 1.25 | basic-1 |",
        "- `basic-1`: preset: basic; band: [0.5, 47.0]",
        "Objective `mdjpt`, 1,200 steps, seed 3",
        "the last step; nothing is chosen with labels",
        "10.0 minutes, 1 × cpu, 2 threads each, Some processor",
        "torch 2.13.0+cpu",
        "Differs from the paper: a smaller network",
        "| few-shot, new stimuli | 0.640 [0.590, 0.690] | 0.500 [0.450, 0.550] | 0.330 [0.280, 0.380] |",
        "- windows: 5 s without overlap",
        "0.00333 kWh",
        "10 W for each of 2 processor cores",
        "`apache-2.0`",
        "@misc{real}",
        'AutoModel.from_pretrained("user/toy", trust_remote_code=True)',
        *("surveillance", "hiring", "covertly", "informed consent", "no medical device", "what the person felt"),
    ):
        assert told in text, told
    assert "$" not in text and "None" not in text.replace("None are on record", "")


def test_the_head_is_what_the_hub_reads(tmp_path):
    (tmp_path / "README.md").write_text(card(base_model="user/older"))
    data = ModelCard.load(tmp_path / "README.md").data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "transformers", "other")
    assert data.base_model == "user/older" and data.datasets == ["sim-a", "sim-b"] and data.metrics == ["accuracy"]
    assert {"eeg", "emotion-recognition", "mdjpt", "simulated-data"} <= set(data.tags)
    assert data.model_name == "toy"
    by_protocol = {result.metric_args["protocol"]: result for result in data.eval_results}
    few_shot = by_protocol["few-shot, new stimuli"]
    assert few_shot.metric_value == 0.64 and type(few_shot.metric_value) is float
    assert few_shot.metric_args["interval_95"] == [0.59, 0.69] and few_shot.metric_args["permutation_null"] == 0.33
    assert few_shot.dataset_name == "sim-c (simulated)" and few_shot.dataset_args["smoothing"] == "none"
    assert len(by_protocol) == 2  # the encoders it was compared with are not results of this model


def evaluated(**encoders):
    """A record as `mdjpt evaluate` writes it: DE, then encoders by name with their facts."""
    facts = {"DE": {"weights": "none"}, **encoders}
    rows = {name: {"score": scores(0.4 + number / 10)} for number, name in enumerate(facts)}
    return comparison(encoders=facts, results={"few-shot": rows})


def own_scores(repo_id="user/toy", **encoders):
    known = facts(results=[evaluated(**encoders)], folder="run")
    listed = yaml.safe_load(model_card(known, repo_id).split("---")[1]).get("model-index", [{"results": []}])
    return [result["metrics"][0]["value"] for result in listed[0]["results"]]


def test_only_the_models_own_row_becomes_its_score():
    trained = {"weights": "pre-trained"}
    assert own_scores(other={**trained, "origin": "other"}, run={**trained, "origin": "run"}) == [0.6]
    assert own_scores(toy={**trained, "origin": "user/toy"}) == [0.5]
    assert own_scores(other={**trained, "origin": "other"}) == own_scores() == []
    assert own_scores(run={"weights": "random", "origin": "run"}) == []
    unknown = comparison(results={"few-shot": {"DE": {"score": scores(0.5)}}})
    assert "model-index" not in card(results=[unknown]) and "| few-shot | 0.500" in card(results=[unknown])


def test_a_folder_knows_its_name(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run")
    monkeypatch.chdir(folder)
    assert gather_facts(folder)["folder"] == gather_facts(Path("."))["folder"] == "run"


def test_ratings_are_named_with_their_own_score():
    text = card(results=[comparison(classes=["valence"], score_name="concordance_correlation")])
    assert "name: concordance correlation, few-shot, new stimuli" in text and "name: accuracy" not in text
    assert "ratings: valence" in text and "1 classes" not in text and "classes: 1" not in text


def test_a_model_that_knew_labels_of_the_corpus_is_marked():
    row = {"weights": "pre-trained", "origin": "run", "saw_this_corpus": "with labels"}
    assert "| ⚠ run (fine-tuned with LABELS of this corpus) |" in card(results=[evaluated(run=row)])


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_fact_is_named_with_the_way_to_give_it(name):
    with pytest.raises(CardError) as error:
        card(**{name: None})
    assert error.value.value == [name]
    assert f"- {name}: " in str(error.value) and ("--" in str(error.value))


def test_facts_inside_others_are_named_too():
    broken = facts(datasets=[dataset(licence=None), dataset("b", hours=None)], energy={"kwh": 1.0}, licence="")
    broken["results"] = [comparison(protocol={})]
    names = [line.partition(":")[0] for line in missing_facts(broken)]
    assert names == [
        "licence",
        "datasets[sim-a].licence",
        "datasets[b].hours",
        "results[0].protocol",
        "energy.assumption",
    ]


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(3), float("nan"), float("inf"), (1, 2)])
def test_values_that_are_not_plain_are_refused(value):
    with pytest.raises(CardError, match="plain, finite"):
        card(results=[comparison(protocol={"windows": value})])


def test_numbers_of_numpy_in_scores_come_out_plain():
    results = comparison()
    results["results"]["zero-shot 10-NN"]["pre-trained"]["score"] = {
        "mean": np.float32(0.61),
        "low": np.float32(0.5),
        "high": np.float64(0.7),
    }
    assert "!!python" not in card(results=[results])


def test_simulated_data_are_never_mistaken_for_people():
    simulated = card()
    assert "Simulated data only" in simulated and "of **simulated** recordings" in simulated
    mixed = card(datasets=[dataset("sim-b"), dataset("b", simulated=False)])
    assert "**Trained on simulated data in part**: sim-b." in mixed and "Simulated data only" not in mixed
    real = card(datasets=[dataset(simulated=False)], results=[])
    assert "Simulated" not in real and "simulated-data" not in real and "none is claimed" in real


def test_only_weights_of_simulated_data_have_a_licence_by_default(tmp_path):
    folder = make_run(tmp_path / "run")
    assert gather_facts(folder)["licence"] == "apache-2.0"
    assert gather_facts(folder, licence="mit")["licence"] == "mit"
    (folder / "run_record.json").write_text(json.dumps(record(datasets=[dataset(), dataset("b", simulated=False)])))
    assert gather_facts(folder)["licence"] == ""
    (folder / "run_record.json").unlink()
    assert gather_facts(folder)["licence"] == ""


def test_facts_can_be_given_where_nothing_was_recorded(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "run_record.json").unlink()
    assert len(missing_facts(gather_facts(folder))) == len(REQUIRED)
    given = gather_facts(folder, licence="mit", extra=record())
    assert not missing_facts(given) and "4,321 parameters" in model_card(given, "user/toy")


def test_results_are_found_beside_the_model(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "results").mkdir()
    (folder / "results" / "real.json").write_text(json.dumps(comparison(corpus="real", data="recorded")))
    (folder / "results" / "other.json").write_text("[1, 2]")
    assert [entry["corpus"] for entry in gather_facts(folder)["results"]] == ["sim-c", "real"]
    (folder / "results" / "broken.json").write_text("{")
    with pytest.raises(CardError, match="broken.json"):
        gather_facts(folder)


def test_a_family_without_a_template_is_refused():
    with pytest.raises(CardError, match="model_cards/unknown.md"):
        card(family="unknown")


def test_the_masked_family_says_what_is_not_disclosed():
    text = card(family="masked_eeg")
    assert "does not disclose" in text and "10.1111/coin.12659" in text and "2510.22197" not in text
    assert "What it must not be used for" in text and "$" not in text


def test_the_finished_card_of_the_demo_is_what_its_records_give():
    text = model_card(gather_facts(DEMO), "user/mdjpt-demo", {"run.yaml"})
    assert text == (ROOT / "model_cards" / "demo.md").read_text()
