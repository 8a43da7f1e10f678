"""`mdjpt live`: emotion while it happens, from a headset or from a file that is played like one."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer


def live(
    model: Annotated[str, typer.Argument(help="Folder or Hub id of a classifier, best of finetune --for-streaming.")],
    stream: Annotated[
        str | None, typer.Option(help="Name of the Lab Streaming Layer stream; default: the only one of type EEG.")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Instead, play this recording as if it were live.")] = None,
    speed: Annotated[float, typer.Option(help="Of the replay; 4 is four times as fast.")] = 1.0,
    brainflow: Annotated[
        str | None, typer.Option(help="Instead, a board that BrainFlow knows: synthetic, cyton, muse_2, ...")
    ] = None,
    board_setting: Annotated[
        list[str] | None, typer.Option(help="Of BrainFlow, e.g. serial_port=/dev/ttyUSB0; repeatable.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Names of all channels in order, if the stream has none: Fp1,Fp2,...")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="What the numbers are, if the stream is wrong: uV, mV or V.")] = None,
    sampling_rate: Annotated[float | None, typer.Option(help="Hz, if the stream announces a wrong one.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Append a line of JSON a window.")] = None,
    outlet: Annotated[
        str | None, typer.Option(help="Send the scores as an LSL stream of this name, for others to record.")
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Show everything on a web page of this machine.")] = False,
    port: Annotated[int | None, typer.Option(help="Of the page; default: the first free one from 7860.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so much of the stream.")] = None,
    find: Annotated[float, typer.Option(help="Seconds to look for the stream.")] = 10.0,
    wait: Annotated[float, typer.Option(help="Seconds to wait for a stream that is gone.")] = 600.0,
    consent: Annotated[Path | None, typer.Option(help="Your own text to show to the person who is recorded.")] = None,
    consent_shown: Annotated[
        bool, typer.Option("--consent-shown", help="They have read it and agreed; do not ask.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
) -> None:
    """Recognise emotion in a live signal, window by window, from nothing but the past; Ctrl-C ends it."""
    from mdjpt_hf.inference.prediction import open_recogniser
    from mdjpt_hf.live import outputs
    from mdjpt_hf.live.model_record import warnings_of
    from mdjpt_hf.live.session import LiveSession
    from mdjpt_hf.runtime.naming import model_name

    _check(replay, brainflow, stream, speed)
    record = _consent(replay, brainflow, consent, consent_shown)
    recogniser = open_recogniser(model, trust_remote_code, device)
    told: list[Any] = [outputs.on_screen(typer.echo)]  # all of them before the first sample comes
    told += [outputs.JsonLines(json_path, record)] if json_path else []
    told += [outputs.Broadcast(outlet)] if outlet else []
    told += [_page(port)] if page else []
    source = _source(stream, replay, speed, brainflow, board_setting or [], channels, unit, find)
    try:
        notes = (*_record_kept(record, source.facts.name, model), *getattr(source, "notes", ()))
    except BaseException:
        source.close()
        raise
    warnings, name = warnings_of(model, recogniser.model.config), model_name(model)
    session = LiveSession(recogniser, source, told, name, sampling_rate, wait, notes, warnings, live=not replay)
    with _ended_by_signals(session) as ended:
        session.run(seconds or float("inf"))
        if page and not ended:
            typer.echo("the page stays until Ctrl-C")
            session.stopped.wait()
    if signal.SIGTERM in ended:
        raise typer.Exit(128 + signal.SIGTERM)


def _check(replay: Path | None, brainflow: str | None, stream: str | None, speed: float) -> None:
    from mdjpt_hf.errors import ConfigurationError

    given = {"--replay": replay, "--brainflow": brainflow, "--stream": stream}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ConfigurationError(f"{' and '.join(named)} name several sources", value=named, remedy="Give one of them")
    if speed != 1 and replay is None:
        raise ConfigurationError(
            f"--speed {speed:g} is for a replay; what is live cannot be sped up", value=speed, remedy="Add --replay"
        )


def _consent(replay: Path | None, brainflow: str | None, text: Path | None, shown: bool) -> dict[str, Any]:
    """The record of it; nobody wears a file, or the synthetic board."""
    from mdjpt_hf.live.consent import ask_consent

    if replay is not None:
        return {"how": "not asked: a recording is replayed"}
    if brainflow is not None and brainflow.strip().lower() in ("synthetic", "synthetic_board", "-1"):
        return {"how": "not asked: the board is synthetic"}
    return ask_consent(text, shown, sys.stdin.isatty(), typer.echo, typer.confirm)


def _record_kept(record: dict[str, Any], stream: str, model: str) -> list[str]:
    from mdjpt_hf.live.consent import keep_record

    if "text" not in record:
        return []
    return [
        f"consent: {record['how']}, recorded in {keep_record(record, Path(typer.get_app_dir('mdjpt')), stream, model)}"
    ]


def _source(
    stream: str | None,
    replay: Path | None,
    speed: float,
    brainflow: str | None,
    settings: list[str],
    channels: str | None,
    unit: str | None,
    find: float,
) -> Any:
    from mdjpt_hf.modeling.signal_mdjpt import microvolts_per

    if unit is not None:
        microvolts_per(unit)  # an unknown one is refused before anything is looked for
    names = [name.strip() for name in channels.split(",")] if channels else []
    if replay is not None:
        from mdjpt_hf.live.replay import ReplaySource

        return ReplaySource(replay, speed, unit)
    if brainflow is not None:
        from mdjpt_hf.live.brainflow_board import BrainFlowSource

        given = dict(text.partition("=")[::2] for text in settings)
        return BrainFlowSource(brainflow, given, names, unit)
    from mdjpt_hf.live.lsl import LslSource

    return LslSource(stream, find, unit, names)


def _page(port: int | None) -> Any:
    from mdjpt_hf.live.page import Page

    page = Page(port)
    typer.echo(f"the page is at {page.address}")
    return page


@contextmanager
def _ended_by_signals(session: Any) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM let the session end after the samples at hand; those that came are listed."""
    came: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if number in came:  # twice: at once
            raise KeyboardInterrupt
        came.append(number)
        session.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
