"""The commands that share and check: `mdjpt push`, `verify`, `data push`; and change formats: `export`, `convert`."""

from pathlib import Path
from typing import Annotated, Any

import typer

Private = Annotated[bool, typer.Option("--private", help="Make it private; a repository that is public is refused.")]
Revision = Annotated[str, typer.Option(help="Branch to commit to, made if need be; default the main one.")]
CreatePR = Annotated[bool, typer.Option("--create-pr", help="Propose the commit as a pull request.")]
ToFolder = Annotated[
    Path | None, typer.Option("--to", help="Write the files to this folder, as they would stand there; send nothing.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")]


def push(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or of a Space with --space.")],
    repo: Annotated[str, typer.Argument(help="user/name on the Hub; made if need be.")],
    private: Private = False,
    revision: Revision = "",
    create_pr: CreatePR = False,
    dry_run: DryRun = False,
    to: ToFolder = None,
    space: Annotated[bool, typer.Option("--space", help="The folder is a Space.")] = False,
    licence: Annotated[
        str, typer.Option(help="Of the weights, as the Hub spells it; default apache-2.0 if all data are simulated.")
    ] = "",
    base_model: Annotated[str, typer.Option(help="user/name of the checkpoint this one was trained from.")] = "",
    facts: Annotated[
        Path | None, typer.Option(help="YAML with what the card needs and the folder does not tell.")
    ] = None,
) -> None:
    """Share a trained model on the Hugging Face Hub as one commit: weights, code, card, figures, records."""
    from mdjpt_hf.sharing.hub import push_model, push_space

    options: dict[str, Any] = {"private": private, "revision": revision, "create_pr": create_pr}
    options |= {"dry_run": dry_run, "to_folder": to}
    if space:
        _refuse_for_spaces(licence=licence, base_model=base_model, facts=facts)
        typer.echo(str(push_space(run, repo, **options)))
        return
    known = _read_facts(facts) if facts else None
    typer.echo(str(push_model(run, repo, licence=licence, base_model=base_model, facts=known, **options)))


def push_data(
    prepared: Annotated[Path, typer.Argument(help="A prepared corpus.")],
    repo: Annotated[str, typer.Argument(help="user/name on the Hub; made if need be.")],
    private: Private = False,
    i_hold_the_licence: Annotated[
        bool, typer.Option("--i-hold-the-licence", help="Your licence covers a private copy of restricted data.")
    ] = False,
    licence: Annotated[str, typer.Option(help="Of your own recordings, as the Hub spells it.")] = "",
    revision: Revision = "",
    create_pr: CreatePR = False,
    dry_run: DryRun = False,
    to: ToFolder = None,
) -> None:
    """Share a prepared corpus as Parquet with its card; what its terms forbid is refused."""
    from mdjpt_hf.sharing.hub import push_corpus

    pushed = push_corpus(
        prepared,
        repo,
        private=private,
        holds_licence=i_hold_the_licence,
        licence=licence,
        revision=revision,
        create_pr=create_pr,
        dry_run=dry_run,
        to_folder=to,
    )
    typer.echo(str(pushed))


def verify(
    folder_or_repo: Annotated[str, typer.Argument(help="A folder, or user/name on the Hub.")],
    revision: Annotated[str, typer.Option(help="Branch, tag or commit of a repository.")] = "",
    kind: Annotated[str, typer.Option(help="model, dataset or space.")] = "model",
) -> None:
    """Compare a downloaded model, corpus or Space with the checksums shared with it; ends with 1 if bytes differ."""
    from mdjpt_hf.sharing.hub import verify as check

    typer.echo(f"{folder_or_repo}: {len(check(folder_or_repo, revision=revision, kind=kind))} files are as shared")


def _refuse_for_spaces(**options: Any) -> None:
    from mdjpt_hf.errors import ConfigurationError

    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise ConfigurationError(f"--space takes no {', '.join(given)}", value=given, remedy="Leave it out")


def _read_facts(path: Path) -> dict[str, Any]:
    import yaml

    from mdjpt_hf.errors import ConfigurationError

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot be read: {error}", path=path, remedy="Write `name: value` lines") from error
    if not isinstance(content, dict):
        raise ConfigurationError("is not a mapping of facts", path=path, remedy="Write `name: value` lines")
    return content


def export(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of an encoder or a classifier.")],
    onnx: Annotated[Path, typer.Option(help="The file to write.")],
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
    whole_recording: Annotated[
        bool, typer.Option(help="Normalise over all windows of a call, as `predict` does; else each by itself.")
    ] = False,
) -> None:
    """Write a model as one ONNX file, compared with PyTorch before it is kept."""
    from mdjpt_hf.sharing.export import export_onnx

    typer.echo(export_onnx(model, onnx, trust_remote_code, whole_recording))


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt file of the authors' mdJPT program.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="What the file's shapes cannot tell, e.g. --set patch_stride=8; repeatable."),
    ] = None,
) -> None:
    """Turn a checkpoint of the authors' mdJPT program into a model folder that every auto class opens."""
    from mdjpt_hf.sharing.convert import convert_checkpoint, released_config
    from mdjpt_hf.training.config import parse_setting

    given = {name: value for text in settings or [] for name, value in parse_setting(text).items()}
    typer.echo(str(convert_checkpoint(checkpoint, out, released_config(**given) if given else None)))
    typer.echo(f"{out} is ready: AutoModel.from_pretrained({str(out)!r})")
