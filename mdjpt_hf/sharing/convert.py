"""Open the checkpoints of the authors' own mdJPT program (arXiv 2510.22197), number for number.

Such a file is a PyTorch Lightning `.ckpt`: a pickled dict with `state_dict`, `epoch`, `global_step` and optimiser
states. It is read without running any code it may contain; sizes are read off the shapes of its parameters; what
shapes cannot tell comes from a given config, else from the paper, and the [`ConversionReport`] says which.
"""

import copy
import json
import logging
import math
import os
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from mdjpt_hf.errors import CheckpointError, ConfigurationError
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.version import __version__

logger = logging.getLogger(__name__)

REPORT_FILE = "conversion.json"

#: A dimension: a number, or the name of a size that is the same wherever it stands.
Shape = tuple[str | int, ...]

#: Settings that leave no trace in the shapes.
NOT_IN_SHAPES = (
    *("sampling_rate", "window_seconds", "patch_stride", "num_attention_heads", "dilations"),
    *("map_attention_pool", "projector_pool", "covariance", "contrastive_temperature", "cda_weight"),
    *("group_norm_eps", "attention_eps"),
)

_ENCODER, _BLOCK = "MLLA.encoder", "MLLA.encoder.blocks.{}"
_KERNEL = re.compile(r"cnn_encoder\.msConv(\d+)\.")
_LAYER = re.compile(r"MLLA\.encoder\.blocks\.(\d+)\.")

_KINDS = ("weight", "bias")

#: Our module -> the checkpoint's, each with both kinds of parameter.
_MODULES = {
    "mdjpt.channel_encoder.read_in": f"{_ENCODER}.read_in",
    "mdjpt.spatial_projection": "uni_mlp.fc",
    "mdjpt.dynamics.attention_conv": "cnn_encoder.att_conv",
    "mdjpt.dynamics.attention_mix": "cnn_encoder.att_pointConv",
    "projector.conv_first": "cnn_encoder.timeConv1",
    "projector.conv_second": "cnn_encoder.timeConv2",
}
_LAYER_MODULES = {"conv_before": "cpe1", "norm": "norm1", "in_proj": "in_proj", "conv_inside": "dwc"}

_THROWN_AWAY = "its result was computed and thrown away, so it never received a gradient"
_NEVER_USED = "declared, never used"

#: What is dropped of every block, and why.
_LAYER_DROPPED = {
    "self_attn.W_Q": _THROWN_AWAY,
    "self_attn.W_K": _THROWN_AWAY,
    "self_attn.W_V": _THROWN_AWAY,
    "self_attn.to_out.0": _THROWN_AWAY,
    "self_attn.lnr_attn.scale": _NEVER_USED,
    "act_proj": _THROWN_AWAY,
    "out_proj": _THROWN_AWAY,
    "cpe2": _THROWN_AWAY,
    "norm2": _NEVER_USED,
    "ff.0": _THROWN_AWAY,
    "ff.3": _THROWN_AWAY,
}
_DROPPED = {
    "cnn_encoder.timeConv": _NEVER_USED,
    f"{_ENCODER}.read_out.bias": "cancelled exactly by the group normalisation behind it",
}


@dataclass(frozen=True)
class ConversionReport:
    """What became of one checkpoint.

    Attributes:
        source: The file.
        origin: What the file says of itself: `epoch`, `global_step`, `pytorch-lightning_version`.
        inferred: Settings read off the shapes.
        assumed: Settings that shapes cannot tell.
        assumed_from: Where those came from: "the given config" or "the paper".
        copied: Our parameter -> the checkpoint's parameters it was made of.
        dropped: The checkpoint's parameter -> why it is left out.
        numbers_copied, numbers_dropped: How many numbers those are.
    """

    source: str
    origin: dict[str, Any]
    inferred: dict[str, Any]
    assumed: dict[str, Any]
    assumed_from: str
    copied: dict[str, list[str]]
    dropped: dict[str, str]
    numbers_copied: int
    numbers_dropped: int

    def __str__(self) -> str:
        origin = f" ({_listed(self.origin)})" if self.origin else ""
        lines = [
            f"{self.source}{origin}",
            f"from the shapes: {_listed(self.inferred)}",
            f"not in the shapes, taken from {self.assumed_from}: {_listed(self.assumed)}",
            f"copied {self.numbers_copied:,} numbers, dropped {self.numbers_dropped:,}:",
        ]
        modules: dict[str, list[str]] = {}
        for name, reason in self.dropped.items():
            part = re.sub(r"(blocks)\.\d+\.", r"\1.*.", name).removesuffix(".weight")
            part = part if part.endswith("read_out.bias") else part.removesuffix(".bias")
            modules.setdefault(reason, []).append(part)
        lines += [f"  {', '.join(dict.fromkeys(parts))}: {reason}" for reason, parts in modules.items()]
        return "\n".join(lines)


def load_released_checkpoint(path: str | os.PathLike, config: MDJPTConfig | None = None) -> MDJPTForPreTraining:
    """Open a checkpoint of the authors' program; the report goes to the log at level INFO.

    Args:
        path: The Lightning `.ckpt` file. No code in it is executed.
        config (`MDJPTConfig`, *optional*): Settings that shapes cannot tell ([`NOT_IN_SHAPES`]) and those of the
            heads; `block` is always `"released"`. Default: the paper's values and `covariance="released"`.

    Returns:
        `MDJPTForPreTraining` in float32 on the CPU, in evaluation mode.

    Raises:
        CheckpointError: If the file is missing, damaged, unsafe or not such a checkpoint, if any parameter is
            missing, unknown, misshapen or not finite, or if the config contradicts the shapes.
    """
    model, report = read_released_checkpoint(path, config)
    logger.info("%s", report)
    return model


def read_released_checkpoint(
    path: str | os.PathLike, config: MDJPTConfig | None = None
) -> tuple[MDJPTForPreTraining, ConversionReport]:
    """[`load_released_checkpoint`] with its report."""
    path = Path(path)
    checkpoint = _read(path)
    state = _state_dict(checkpoint, path)
    layout, sizes = _check_layout(state, path)
    _check_numbers(state, path)
    settings, inferred = _settings(sizes, config, path)
    sources, dropped = _sources(settings), _reasons(settings.num_hidden_layers, layout)
    report = ConversionReport(
        source=path.name,  # the folders above may carry a person's name
        origin=_origin(checkpoint),
        inferred=inferred,
        assumed={name: getattr(settings, name) for name in NOT_IN_SHAPES},
        assumed_from="the paper" if config is None else "the given config",
        copied=sources,
        dropped=dropped,
        numbers_copied=sum(state[name].numel() for names in sources.values() for name in names),
        numbers_dropped=sum(state[name].numel() for name in dropped),
    )
    return _build(settings, state, sources), report


def convert_checkpoint(
    path: str | os.PathLike, out: str | os.PathLike, config: MDJPTConfig | None = None
) -> ConversionReport:
    """Write a checkpoint of the authors' program as a model folder that every auto class opens.

    The folder holds `model.safetensors`, `config.json`, the code, `preprocessor_config.json` with
    `montage="released"`, and the report as `conversion.json`. It appears whole or not at all.

    Args:
        path, config: See [`load_released_checkpoint`].
        out: The folder to make; it must not hold anything yet.

    Raises:
        CheckpointError: See [`load_released_checkpoint`].
        ConfigurationError: If `out` exists and is not an empty folder.
    """
    out = Path(os.path.abspath(out))
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigurationError(
            "exists and is not an empty folder", path=out, value=str(out), remedy="Choose another folder"
        )
    model, report = read_released_checkpoint(path, config)
    staging = out.parent / f".{out.name}.partial"
    shutil.rmtree(staging, ignore_errors=True)  # of a conversion that was interrupted
    try:
        _write(staging, model, report)
        os.replace(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return report


def released_config(**settings: Any) -> MDJPTConfig:
    """The config a checkpoint is opened with, some settings replaced: `released_config(patch_stride=8)`.

    Raises:
        ConfigurationError: If a setting is unknown or its value impossible.
    """
    unknown = sorted(set(settings) - {field.name for field in fields(MDJPTConfig)})
    if unknown:
        raise ConfigurationError(
            f"unknown settings: {', '.join(unknown)}", value=unknown, remedy="See MDJPTConfig for the names"
        )
    try:
        return MDJPTConfig(**{"block": "released", "covariance": "released", **settings})
    except Exception as error:  # the strict dataclass has its own hierarchy of errors
        raise ConfigurationError(f"cannot be a model: {error}", value=settings) from error


# --- reading -------------------------------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError("no such file", path=path, remedy="Give the path of a Lightning .ckpt file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks about old formats; what matters is raised
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the reader fail in any way at all
        raise _unreadable(path, error) from None  # PyTorch's text advises to run the file's code
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), Mapping):
        held = f"a dict with {_some(map(repr, checkpoint))}" if isinstance(checkpoint, dict) else type(checkpoint)
        raise CheckpointError(
            f"holds no 'state_dict', found {held}",
            path=path,
            remedy="Give a checkpoint as Lightning saves it",
        )
    return checkpoint


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    forbidden = re.search(r"GLOBAL (\S+)", str(error))
    if forbidden:
        return CheckpointError(
            f"contains {forbidden[1]}, which could run code when it is opened; nothing was run",
            path=path,
            value=forbidden[1],
            remedy="A checkpoint needs tensors only: if you trust its source, have it saved again as "
            "{'state_dict': ...} alone",
        )
    return CheckpointError(
        f"is truncated, damaged or not a checkpoint ({type(error).__name__})",
        path=path,
        remedy="Download or copy it again and compare its size",
    )


def _state_dict(checkpoint: dict[str, Any], path: Path) -> dict[str, torch.Tensor]:
    state = checkpoint["state_dict"]
    strange = [repr(name) for name, value in state.items() if not (isinstance(name, str) and _is_plain_tensor(value))]
    if strange:
        raise CheckpointError(
            f"state_dict holds entries that are not named, dense tensors of real numbers: {_some(strange)}",
            path=path,
            value=strange,
            remedy="Give a checkpoint of the released mdJPT program",
        )
    return dict(state)


def _is_plain_tensor(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.layout == torch.strided
        and value.device.type == "cpu"
    )


def _check_numbers(state: dict[str, torch.Tensor], path: Path) -> None:
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(
            f"NaN or infinite numbers in {_some(broken)}",
            path=path,
            value=broken,
            remedy="The run that wrote it diverged: take an earlier checkpoint",
        )


def _origin(checkpoint: dict[str, Any]) -> dict[str, Any]:
    kinds = {"epoch": int, "global_step": int, "pytorch-lightning_version": str}
    return {name: checkpoint[name] for name, kind in kinds.items() if isinstance(checkpoint.get(name), kind)}


# --- what such a checkpoint must hold ------------------------------------------------------------------------------


def _layout(num_layers: int, num_kernels: int) -> dict[str, Shape]:
    """Every parameter of the released program with its shape in named sizes."""
    layout = {
        **_with_bias("uni_mlp.fc", "spatial_channels", len(STANDARD_CHANNELS)),
        **_with_bias(f"{_ENCODER}.read_in", "hidden_size", "patch_length"),
        **_with_bias(f"{_ENCODER}.read_out", "feature_size", "hidden_size"),
        **_with_bias("cnn_encoder.timeConv", "feature_size", 1, 1, "unused_kernel"),
        **_with_bias("cnn_encoder.att_conv", "num_maps", 1, 1, "map_attention_kernel"),
        **_with_bias("cnn_encoder.att_pointConv", "num_maps", "num_maps", 1, 1),
        **_with_bias("cnn_encoder.timeConv1", "num_maps", 1, 1, "filter_taps"),
        **_with_bias("cnn_encoder.timeConv2", "num_maps", 1, 1, "filter_taps"),
    }
    for index in range(num_layers):
        layout |= _layer_layout(_BLOCK.format(index))
    for number in range(1, num_kernels + 1):
        kernel: Shape = ("maps_per_kernel", 1, "spatial_channels", "filter_taps")
        layout |= _with_bias(f"cnn_encoder.msConv{number}", *kernel)
    return layout


def _layer_layout(block: str) -> dict[str, Shape]:
    square = ("self_attn.W_Q", "self_attn.W_K", "self_attn.W_V", "self_attn.to_out.0")
    layout: dict[str, Shape] = {f"{block}.self_attn.lnr_attn.scale": ()}
    for name in (*square, "act_proj", "in_proj", "out_proj"):
        layout |= _with_bias(f"{block}.{name}", "hidden_size", "hidden_size")
    for name in ("cpe1", "cpe2", "dwc"):
        layout |= _with_bias(f"{block}.{name}", "hidden_size", 1, 3)
    for name in ("norm1", "norm2"):
        layout |= _with_bias(f"{block}.{name}", "hidden_size")
    layout |= _with_bias(f"{block}.ff.0", "intermediate_size", "hidden_size")
    return layout | _with_bias(f"{block}.ff.3", "hidden_size", "intermediate_size")


def _with_bias(name: str, *shape: str | int) -> dict[str, Shape]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _check_layout(state: dict[str, torch.Tensor], path: Path) -> tuple[dict[str, Shape], dict[str, int]]:
    """Find the sizes, and refuse the file if any parameter is missing, unknown or misshapen.

    Returns:
        The layout, and the sizes by name, with `num_hidden_layers` and `num_kernels`.
    """
    # Counting what is there, rather than taking the highest number, keeps a forged name from costing memory.
    num_layers, num_kernels = (len(_numbers(state, pattern)) for pattern in (_LAYER, _KERNEL))
    layout = _layout(num_layers or 2, num_kernels or 4)
    sizes = _vote(layout, state)
    sizes["maps_per_kernel"] -= sizes["maps_per_kernel"] % sizes["feature_size"]
    sizes["num_maps"] = sizes["maps_per_kernel"] * (num_kernels or 4)
    wanted = {name: tuple(sizes[d] if isinstance(d, str) else d for d in shape) for name, shape in layout.items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    problems = {
        "missing": [repr(name) for name in wanted if name not in found],
        "unexpected": [repr(name) for name in found if name not in wanted],
        "misshapen": [
            f"{name!r} (wanted {shape}, found {found[name]})"
            for name, shape in wanted.items()
            if name in found and found[name] != shape
        ],
    }
    if any(problems.values()):
        listed = "; ".join(f"{kind} {_some(names)}" for kind, names in problems.items() if names)
        raise CheckpointError(
            f"is not a checkpoint of the released mdJPT program: {listed}",
            path=path,
            value=problems,
            remedy="Give the file as the authors' program wrote it",
        )
    return layout, {**sizes, "num_hidden_layers": num_layers, "num_kernels": num_kernels}


def _numbers(state: dict[str, torch.Tensor], pattern: re.Pattern) -> set[str]:
    return {match[1] for name in state if (match := pattern.match(name))}


def _vote(layout: dict[str, Shape], state: dict[str, torch.Tensor]) -> dict[str, int]:
    """The value of every named size that most parameters agree on, so that a misshapen one is told from the rest."""
    votes: dict[str, Counter] = {}
    for name, shape in layout.items():
        ballot = state[name].shape if name in state and state[name].dim() == len(shape) else [None] * len(shape)
        for size, value in zip(shape, ballot, strict=True):
            if isinstance(size, str):
                votes.setdefault(size, Counter()).update([value] if value else [])
    return {size: counter.most_common(1)[0][0] if counter else 1 for size, counter in votes.items()}


# --- settings ------------------------------------------------------------------------------------------------------


def _settings(sizes: dict[str, int], config: MDJPTConfig | None, path: Path) -> tuple[MDJPTConfig, dict[str, Any]]:
    """The model's config, and the part of it that the shapes determine."""
    given = MDJPTConfig(covariance="released") if config is None else config
    named = ("patch_length", "hidden_size", "intermediate_size", "num_hidden_layers", "feature_size")
    inferred = {name: sizes[name] for name in (*named, "spatial_channels", "filter_taps", "map_attention_kernel")}
    inferred["num_channels"] = len(STANDARD_CHANNELS)
    inferred["filters_per_feature"] = sizes["maps_per_kernel"] // sizes["feature_size"]
    _check_agreement(given, inferred, path)
    _check_dilations(given, sizes["num_kernels"], path)
    settings = copy.deepcopy(given)
    try:
        for name, value in (*inferred.items(), ("block", "released"), ("package_version", __version__)):
            setattr(settings, name, value)
        # Heads belong to the attention that is dropped; they only have to divide the size.
        settings.num_attention_heads = math.gcd(settings.num_attention_heads, settings.hidden_size)
        settings.validate()
    except Exception as error:  # the strict dataclass has its own hierarchy of errors
        raise CheckpointError(f"has sizes no model can have: {error}", path=path, value=inferred) from error
    return settings, inferred


def _check_agreement(given: MDJPTConfig, inferred: dict[str, Any], path: Path) -> None:
    """A setting left at its default says nothing; any other must be what the file holds."""
    defaults = {field.name: field.default for field in fields(MDJPTConfig)}
    wrong = {
        name: f"{name} is {value} in the file, {getattr(given, name)} in the config"
        for name, value in inferred.items()
        if getattr(given, name) not in (value, defaults[name])
    }
    if wrong:
        raise CheckpointError(
            f"contradicts the given config: {'; '.join(wrong.values())}",
            path=path,
            value=sorted(wrong),
            remedy="Leave these settings out: they are read off the shapes",
        )


def _check_dilations(given: MDJPTConfig, num_kernels: int, path: Path) -> None:
    if len(given.dilations) != num_kernels:
        raise CheckpointError(
            f"holds {num_kernels} dilated convolutions, the config names {len(given.dilations)} dilations "
            f"{list(given.dilations)}",
            path=path,
            value=num_kernels,
            remedy="Name one dilation for each: config=released_config(dilations=[...]), or --set 'dilations=[...]'",
        )


# --- building ------------------------------------------------------------------------------------------------------


def _sources(config: MDJPTConfig) -> dict[str, list[str]]:
    """Our parameter -> the checkpoint's parameters it is made of, stacked where there are several."""
    modules = dict(_MODULES)
    for index in range(config.num_hidden_layers):
        ours, theirs = f"mdjpt.channel_encoder.layers.{index}", _BLOCK.format(index)
        modules |= {f"{ours}.{name}": f"{theirs}.{source}" for name, source in _LAYER_MODULES.items()}
    sources = {f"{ours}.{kind}": [f"{theirs}.{kind}"] for ours, theirs in modules.items() for kind in _KINDS}
    sources["mdjpt.channel_encoder.read_out.weight"] = [f"{_ENCODER}.read_out.weight"]
    for kind in _KINDS:
        kernels = range(1, len(config.dilations) + 1)
        sources[f"mdjpt.dynamics.{kind}"] = [f"cnn_encoder.msConv{number}.{kind}" for number in kernels]
    return sources


def _reasons(num_layers: int, layout: dict[str, Shape]) -> dict[str, str]:
    """The checkpoint's parameter -> why it is dropped."""
    parts = dict(_DROPPED)
    for index in range(num_layers):
        parts |= {f"{_BLOCK.format(index)}.{part}": reason for part, reason in _LAYER_DROPPED.items()}
    return {
        name: reason
        for part, reason in parts.items()
        for name in (part, *(f"{part}.{kind}" for kind in _KINDS))
        if name in layout
    }


def _build(config: MDJPTConfig, state: dict[str, torch.Tensor], sources: dict[str, list[str]]) -> MDJPTForPreTraining:
    with torch.random.fork_rng(devices=[]):  # random weights about to be replaced must not move the caller's seed
        model = MDJPTForPreTraining(config)
    # Both programs order numbers alike (dilation, feature, filter), so only axes of length one come and go.
    weights = {
        name: torch.stack([state[source].float() for source in sources[name]]).reshape(parameter.shape)
        for name, parameter in model.state_dict().items()
    }
    model.load_state_dict(weights)
    return model.eval()


def _write(folder: Path, model: MDJPTForPreTraining, report: ConversionReport) -> None:
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    extractor = MDJPTFeatureExtractor(
        sampling_rate=model.config.sampling_rate,
        window_seconds=model.config.window_seconds,
        montage="released",
    )
    extractor.save_pretrained(folder)
    (folder / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _some(items: Any, most: int = 20) -> str:
    items = list(items)
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + rest
