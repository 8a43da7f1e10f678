"""A model as one ONNX file, for programs without PyTorch."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from mdjpt_hf.errors import ConfigurationError, MDJPTError
from mdjpt_hf.modeling.kernels_mdjpt import linear
from mdjpt_hf.runtime.writing import whole_file, writable
from mdjpt_hf.version import __version__

#: Largest difference from PyTorch that a file may show.
TOLERANCE = 1e-4
#: Windows and seconds that a fresh file is tried with; other numbers than it was traced with.
_TRIED = ((1, 5.0), (3, 2.0), (2, 10.0))


def shortest_samples(config: Any) -> int:
    """Of a window that a network takes: a second, or a patch."""
    return max(config.sampling_rate, getattr(config, "patch_length", 1), getattr(config, "token_samples", 1))


class _OverRows(nn.Linear):
    """A linear layer as [`linear`] computes it in exported graphs."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return linear(input, self.weight, self.bias)


def _over_rows(model: nn.Module) -> None:
    """Have all linear layers of a model computed over rows; weights stay where they are."""
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Linear:
                rows = _OverRows(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
                rows.weight, rows.bias = layer.weight, layer.bias
                setattr(parent, name, rows)


class _OneOutput(nn.Module):
    """Windows in, one tensor out; every window stands alone, or all of them are one recording."""

    def __init__(self, model: PreTrainedModel, name: str, whole_recording: bool = False):
        super().__init__()
        self.model, self.name, self.whole_recording = model, name, whole_recording
        self.shortest = shortest_samples(model.config)

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """`(batch, 60, samples)` -> `(batch, size)`."""
        # reaches for a sample that too short a window lacks: ONNX knows no other way to refuse it
        input_values = input_values + 0 * input_values.select(2, self.shortest - 1).unsqueeze(2)
        if not self.whole_recording:
            return self.model(input_values)[self.name]
        together = torch.zeros_like(input_values[:, 0, 0], dtype=torch.long)
        return self.model(input_values, group_ids=together)[self.name]


def export_onnx(name: str, path: Path, trust_remote_code: bool = False, whole_recording: bool = False) -> str:
    """Write a model as ONNX, after comparing it with PyTorch on windows of several numbers and lengths.

    `mdjpt predict` and the pipeline normalise features over a whole recording (unless the model's config says
    `group_mode="window"`). A file does so with `whole_recording`, given all windows of a recording at once; otherwise
    it takes every window by itself, as live use needs, and its numbers are others than those of the pipeline.

    Args:
        name: Folder or Hub id. path: The file to write; it appears whole or not at all.
        whole_recording: Whether the windows of one call are one recording.
        trust_remote_code: Run the model's own code, which models of this package do not need.

    Returns:
        What was written, in words.

    Raises:
        ConfigurationError: If the model cannot be opened, or the extra `[onnx]` is missing.
        MDJPTError: If the file does not give PyTorch's numbers; none is left behind.
    """
    model, output = _open(name, trust_remote_code)
    try:
        import onnxruntime  # noqa: F401 - asked for now, since tracing takes a while
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"this needs ONNX ({error})", value="onnx", remedy="pip install 'mdjpt-hf[onnx]'"
        ) from error
    config = model.config
    windows = torch.randn(2, config.num_channels, config.window_samples, generator=torch.Generator().manual_seed(0))
    dynamic = {0: torch.export.Dim("batch"), 2: torch.export.Dim("samples")}
    whole_recording = whole_recording and getattr(config, "group_mode", "window") == "recording"
    network = _OneOutput(model, output, whole_recording).eval()
    _over_rows(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about itself and about torchvision
        program = torch.onnx.export(
            network,
            (windows,),
            dynamo=True,
            dynamic_shapes={"input_values": dynamic},
            input_names=["input_values"],
            output_names=[output],
            verbose=False,
        )
    assert program is not None  # it is None only where the exporter writes the file itself
    program.model.metadata_props.update(_facts(config, whole_recording))
    with writable(path), whole_file(path) as partial:
        program.save(str(partial))
        difference = _difference(network, partial, config)
        if not difference <= TOLERANCE:
            raise MDJPTError(
                f"the file differs from PyTorch by {difference:.2g}", path=path, value=difference, remedy="Report it"
            )
    size = path.stat().st_size / 2**20
    return (
        f"{path}, {size:.1f} MiB: input_values (batch, {config.num_channels}, samples at {config.sampling_rate} Hz) -> "
        f"{output}; differs from PyTorch by {difference:.1g} at most; {_normalisation(config, whole_recording)}"
    )


def _open(name: str, trust_remote_code: bool) -> tuple[PreTrainedModel, str]:
    """A classifier, or an encoder where no head was trained, and the output that is wanted of it."""
    try:
        config = json.loads((Path(name) / "config.json").read_text(encoding="utf-8")) if Path(name).is_dir() else None
        options = {"trust_remote_code": trust_remote_code}
        encoder = AutoModel.from_pretrained(name, **options)
        architectures = (config or encoder.config.to_dict()).get("architectures") or []
        if not any(part.endswith("ForSequenceClassification") for part in architectures):
            return encoder.eval(), "pooler_output"
        return AutoModelForSequenceClassification.from_pretrained(name, **options).eval(), "logits"
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{name} cannot be opened: {error}", value=name, remedy="Give a model") from error


def _normalisation(config: Any, whole_recording: bool) -> str:
    """What the features of a file are normalised over, and whether that is what the pipeline does."""
    if getattr(config, "streaming", None) is not None:
        return (
            "every window is taken for the first of a live session, and normalised by the statistics of training "
            "subjects alone; `mdjpt live` and `mdjpt predict` go on from window to window and give other numbers"
        )
    if whole_recording:
        return "all windows of a call are normalised together, as `mdjpt predict` does: give those of one recording"
    if getattr(config, "group_mode", "window") == "recording":
        return (
            "every window is normalised by itself; `mdjpt predict` and the pipeline normalise over the whole recording "
            "and give other numbers (--whole-recording exports that)"
        )
    return "every window is normalised by itself"


def _facts(config: Any, whole_recording: bool) -> dict[str, str]:
    """What whoever runs the file must know."""
    facts = {
        "mdjpt-hf": __version__,
        "model_type": config.model_type,
        "sampling_rate": str(config.sampling_rate),
        "window_seconds": str(config.window_seconds),
        "windows": "of one recording" if whole_recording else "each by itself",
        "shortest_samples": str(shortest_samples(config)),
        "labels": json.dumps({str(number): label for number, label in (config.id2label or {}).items()}),
        "input": f"windows from MDJPTFeatureExtractor; {_normalisation(config, whole_recording)}",
    }
    return facts


@torch.no_grad()
def _difference(network: nn.Module, path: Path, config: Any) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    differences = []
    for count, seconds in _TRIED:
        samples = round(seconds * config.sampling_rate)
        windows = torch.randn(count, config.num_channels, samples, generator=generator)
        (found,) = session.run(None, {"input_values": windows.numpy()})
        differences.append(np.abs(found - network(windows).numpy()).max())
    return float(np.max(differences))
