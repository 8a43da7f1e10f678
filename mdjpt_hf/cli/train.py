"""The commands that learn: `mdjpt pretrain`, `mdjpt finetune`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mdjpt_hf.cli.settings import LabelledData
from mdjpt_hf.runtime.importing import collection_paused


def pretrain(
    config: Annotated[
        str | None,
        typer.Option(
            help="demo, paper, masked-demo, masked, joint-demo, or a YAML file; default: the objective's demo."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A prepared or Parquet folder, or user/corpus of the Hub; stream: before it leaves Parquet where it "
            "is; repeatable. Without it: simulated corpora."
        ),
    ] = None,
    output_dir: Annotated[
        str | None, typer.Option(help="Where to write; default outputs/NAME, numbered if taken.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest complete checkpoint.")] = False,
    objective: Annotated[str | None, typer.Option(help="What to learn: mdjpt, masked, or mdjpt+masked.")] = None,
    seed: Annotated[int | None, typer.Option(help="Weights, sampling and simulation follow from it.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.")] = None,
    num_workers: Annotated[int | None, typer.Option(help="Data worker processes.")] = None,
    push_to_hub: Annotated[str | None, typer.Option(help="user/name to share the result as; see mdjpt push.")] = None,
    push_private: Annotated[bool | None, typer.Option("--push-private", help="Make that repository private.")] = None,
    push_licence: Annotated[str | None, typer.Option(help="Of the weights; needed with real data.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting as key=value, e.g. --set model.hidden_size=64; repeatable."),
    ] = None,
) -> None:
    """Pre-train one encoder on several corpora at once; the same program as `accelerate launch pretrain.py`."""
    with collection_paused():
        from mdjpt_hf.pretraining import pretrain as run
        from mdjpt_hf.training.config import default_preset, load_run_config, merge_settings, parse_setting

    overrides: dict[str, Any] = {}
    for text in settings or []:
        merge_settings(overrides, parse_setting(text))
    given = {
        "data": data,
        "output_dir": output_dir,
        "objective": objective,
        "seed": seed,
        "steps": steps,
        "learning_rate": learning_rate,
        "num_workers": num_workers,
        "push_to_hub": push_to_hub,
        "push_private": push_private,
        "push_licence": push_licence,
    }
    merge_settings(overrides, given)
    run(load_run_config(config or default_preset(overrides.get("objective")), **overrides), resume=resume)


def finetune(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of a pre-trained encoder.")],
    data: LabelledData,
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    target: Annotated[
        str, typer.Option(help="label (the corpus's own), emotion, valence_class, clip_valence or ratings.")
    ] = "label",
    method: Annotated[str, typer.Option(help="head (the encoder stays as it is), full or lora.")] = "head",
    epochs: Annotated[int, typer.Option(help="At most; 0: eight, and at least 300 steps.")] = 0,
    steps: Annotated[int, typer.Option(help="At most, in place of epochs.")] = 0,
    evaluation_steps: Annotated[
        int, typer.Option(help="Between two looks at validation subjects; 0: an epoch, at least 25 steps.")
    ] = 0,
    patience: Annotated[int, typer.Option(help="Looks without improvement before training stops.")] = 5,
    batch_size: Annotated[int, typer.Option(help="Windows.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="0: that of the method.")] = 0.0,
    validation_share: Annotated[float, typer.Option(help="Of the subjects; they never train.")] = 0.2,
    class_weights: Annotated[bool, typer.Option(help="Let a rare class count as much as a frequent one.")] = True,
    seed: Annotated[int, typer.Option(help="Split, order and new weights follow from it.")] = 0,
    for_streaming: Annotated[
        bool, typer.Option("--for-streaming", help="For `mdjpt live`: train and score on windows as they come live.")
    ] = False,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
) -> None:
    """Make a classifier out of a pre-trained encoder."""
    from mdjpt_hf.finetuning.train import FinetuneConfig
    from mdjpt_hf.finetuning.train import finetune as run

    config = FinetuneConfig(
        model=model,
        data=tuple(data),
        output_dir=str(out),
        target=target,
        method=method,
        epochs=epochs,
        steps=steps,
        evaluation_steps=evaluation_steps,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        validation_share=validation_share,
        class_weights=class_weights,
        seed=seed,
        for_streaming=for_streaming,
        trust_remote_code=trust_remote_code,
    )
    found = json.loads((run(config) / "finetune.json").read_text(encoding="utf-8"))
    typer.echo("\n".join(found["verdict"]))
    state = "ready" if found["validation"]["above_chance"] else "written, and no better than guessing"
    typer.echo(f"{out} is {state}; what it was made of, and how well it does: {out / 'results'}")
