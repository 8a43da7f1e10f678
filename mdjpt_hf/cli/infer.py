"""The commands that use a model: `mdjpt predict`, `mdjpt embed`, `mdjpt demo`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mdjpt_hf.cli.settings import Backend, Scheduler, cluster_of


def predict(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of a classifier.")],
    recording: Annotated[list[Path], typer.Argument(help="In any format MNE opens; several, or a folder of them.")],
    smoothing: Annotated[str, typer.Option(help="none, causal (the past counts) or lds (the future too).")] = "none",
    json_path: Annotated[Path | None, typer.Option("--json", help="Where to write everything as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to draw the scores over time (of one recording).")] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
    csv_path: Annotated[Path | None, typer.Option("--csv", help="Where to write one line per window.")] = None,
    stride: Annotated[float | None, typer.Option(help="Seconds between the starts of two windows.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="What the numbers in the files are, if headers are wrong: uV, mV or V.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; by default the best there is.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Windows the model sees at a time.")] = None,
) -> None:
    """Recognise emotion in every window of recordings; scores are normalised over each recording as a whole."""
    from mdjpt_hf.inference.prediction import predict_all, render_all

    outputs = (json_path, picture, trust_remote_code, csv_path)
    predictions = predict_all(model, recording, smoothing, *outputs, stride, unit, device, batch_size)
    typer.echo(render_all(predictions))
    if predictions.failed:
        raise typer.Exit(1)


def embed(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of an encoder or a classifier.")],
    sources: Annotated[
        list[str],
        typer.Argument(help="Corpora (prepared or Parquet folders, user/corpus, stream:user/corpus), or recordings."),
    ],
    out: Annotated[Path, typer.Option(help="The table to make: .parquet, .csv or .npz.")],
    stride: Annotated[float | None, typer.Option(help="Seconds between the starts of two windows.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of the numbers in recordings, if headers are wrong.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows the model sees at a time.")] = 32,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
    backend: Backend = "",
    scheduler: Scheduler = "",
) -> None:
    """Write the features of every window of corpora or recordings; each recording is normalised as a whole."""
    from mdjpt_hf.inference.embedding import check_format
    from mdjpt_hf.inference.embedding import embed as run

    check_format(out)
    found = run(
        model,
        sources,
        stride_seconds=stride,
        unit=unit,
        batch_size=batch_size,
        device=device,
        trust_remote_code=trust_remote_code,
        cluster=cluster_of(backend, scheduler),
    )
    typer.echo(f"{len(found)} windows of {found.features.shape[1]} features are ready in {found.write(out)}")


def demo(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of a classifier, saved with its code.")],
    example: Annotated[list[Path] | None, typer.Option(help="A recording to offer (not in a Space).")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: the first free one from 7860.")] = None,
    space: Annotated[
        Path | None, typer.Option(help="Instead of opening the page, write it as a Space into this folder.")
    ] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
) -> None:
    """Open a web page that reads emotion out of recordings, or write it as a Space."""
    from mdjpt_hf.errors import require

    require("gradio", "demo")
    if space is not None:
        from mdjpt_hf.demo.space import write_space

        typer.echo(f"{write_space(model, space)} is ready")
        return
    from mdjpt_hf.demo.app import serve
    from mdjpt_hf.demo.examples import write_example
    from mdjpt_hf.errors import ConfigurationError
    from mdjpt_hf.inference.prediction import open_recogniser

    recogniser = open_recogniser(model, trust_remote_code)
    with tempfile.TemporaryDirectory() as folder:
        examples = example or [write_example(Path(folder))]
        try:
            serve(model, [str(path) for path in examples], recogniser, server_name=host, server_port=port)
        except OSError as error:  # the port is taken
            raise ConfigurationError(str(error), value=port, remedy="Choose another --port") from error
