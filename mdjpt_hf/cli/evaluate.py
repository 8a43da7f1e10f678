"""The commands that judge: `mdjpt evaluate`, `mdjpt report`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mdjpt_hf.cli.settings import Backend, LabelledData, Scheduler, cluster_of


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(help="Folders or Hub ids; random; de (differential entropy); braindecode:NAME[@WEIGHTS]."),
    ],
    data: LabelledData,
    out: Annotated[Path, typer.Option(help="The folder to make; MODEL/evaluation puts results on the model's card.")],
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="few-shot, zero-shot, leave-one-subject-out, cross-dataset, within-subject, held-out or "
            "held-out-neighbours; repeatable; default two that suit the preset and label."
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="honest; paper: the published protocol with its optimistic choices; quick: the table of a "
            "demonstration run; eeg-arena, omnieeg: protocols of these benchmarks, as far as they are known."
        ),
    ] = "honest",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A choice, e.g. --set smoothing=causal; repeatable.")
    ] = None,
    splits: Annotated[Path | None, typer.Option(help="splits.json of another evaluation, to use again.")] = None,
    label: Annotated[
        str, typer.Option(help="label (the corpus's own), emotion, valence_class, clip_valence; or valence, arousal.")
    ] = "label",
    corpus: Annotated[list[str] | None, typer.Option(help="Test only this corpus of the data; repeatable.")] = None,
    leak_audit: Annotated[
        bool, typer.Option("--leak-audit", help="Add the optimistic choices one by one; print what each adds.")
    ] = False,
    permutations: Annotated[
        int | None, typer.Option(help="Of the labels, for the null of trained classifiers; default 100, of quick 20.")
    ] = None,
    scratch_permutations: Annotated[int, typer.Option(help="The same, for networks trained from scratch.")] = 10,
    importance: Annotated[
        bool, typer.Option("--importance", help="Silence every electrode in turn, for a map; encodes once for each.")
    ] = False,
    reference: Annotated[str, typer.Option(help="Whose architecture random has; default the first model.")] = "",
    seed: Annotated[int, typer.Option(help="Splits, permutations and new weights follow from it.")] = 0,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run a model's own code.")] = False,
    backend: Backend = "",
    scheduler: Scheduler = "",
) -> None:
    """Score encoders side by side: same windows, splits and seeds; every score with its protocol and its null."""
    from mdjpt_hf.evaluation.encoders import EncoderSource
    from mdjpt_hf.evaluation.protocols import default_protocols, preset_named
    from mdjpt_hf.evaluation.run import Evaluation
    from mdjpt_hf.evaluation.run import evaluate as run
    from mdjpt_hf.evaluation.scores import Effort
    from mdjpt_hf.training.config import parse_setting

    choices: dict[str, Any] = {}
    for text in settings or []:
        choices |= parse_setting(text)
    task = Evaluation(
        models=tuple(models),
        data=tuple(data),
        protocols=tuple(protocol or default_protocols(label, preset)),
        out=out,
        preset=preset,
        choices=choices,
        splits=splits,
        label=label,
        corpora=tuple(corpus or ()),
        effort=Effort(
            preset_named(preset).permutations if permutations is None else permutations,
            scratch_permutations=scratch_permutations,
            seed=seed,
            importance=importance,
        ),
        source=EncoderSource(reference, seed, trust_remote_code),
        leak_audit=leak_audit,
        cluster=cluster_of(backend, scheduler),
    )
    records = run(task, typer.echo)
    typer.echo(f"{len(records)} records are ready in {out}; `mdjpt report {out} --out FOLDER` draws them")


def report(
    records: Annotated[list[Path], typer.Argument(help="Records, or folders of them.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
) -> None:
    """Write tables, tests and figures of records as Markdown."""
    from mdjpt_hf.evaluation.reports import write_report

    typer.echo(f"{write_report(records, out)} is ready")
