"""How cost grows: `python benchmarks/scaling.py [--picture FILE]`.

Measures the paper's network in inference over numbers of windows and of channels, and a training step of `fast` whose
320 windows come from more and more corpora, or from more and more people of one. Prints the exponent of a power law
through each: 1 is linear, 0 is free. What more processes bring is in `processes.py`, what more data costs in `data.py`
and `feeding.py`.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from model import take_turns  # noqa: E402

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining, MDJPTModel  # noqa: E402

WINDOWS, CHANNELS = (2, 8, 32, 128, 320), (15, 60, 240, 1200)
CORPORA, PEOPLE = (1, 4, 16, 80), (2, 8, 32, 160)
STEP_WINDOWS = 320


def main() -> None:
    """Measure, print the exponents, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="a PNG to draw")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    curves = {
        "windows": measure(WINDOWS, over_windows, arguments.repeats),
        "channels": measure(CHANNELS, over_channels, arguments.repeats),
        f"corpora in a step of {STEP_WINDOWS} windows": measure(CORPORA, over_corpora, arguments.repeats),
        f"people in a step of {STEP_WINDOWS} windows": measure(PEOPLE, over_people, arguments.repeats),
    }
    for name, (sizes, seconds) in curves.items():
        times = ", ".join(f"{size}: {spent:.2f} s" for size, spent in zip(sizes, seconds, strict=True))
        print(f"{name}: exponent {exponent(sizes, seconds):.3f} ({times})")
    if arguments.picture:
        draw(curves, arguments.picture)


def measure(
    sizes: tuple[int, ...], prepare: Callable[[int], Callable[[], object]], repeats: int
) -> tuple[tuple[int, ...], list[float]]:
    """Seconds of the fastest run at every size."""
    found = take_turns({str(size): prepare(size) for size in sizes}, repeats)
    return sizes, list(found.values())


def exponent(sizes: Iterable[int], seconds: Iterable[float]) -> float:
    """Slope of a line through the logarithms."""
    return float(np.polyfit(np.log(list(sizes)), np.log(list(seconds)), 1)[0])


def over_windows(count: int) -> Callable[[], object]:
    """Inference on so many windows."""
    return _inference(MDJPTModel(MDJPTConfig()).eval(), torch.randn(count, 60, 625))


def over_channels(count: int) -> Callable[[], object]:
    """Inference on 2 windows of so many channels."""
    return _inference(MDJPTModel(MDJPTConfig(num_channels=count)).eval(), torch.randn(2, count, 625))


def _inference(model: MDJPTModel, values: torch.Tensor) -> Callable[[], object]:
    return torch.no_grad()(lambda: model(values))


def over_corpora(count: int) -> Callable[[], object]:
    """A training step whose windows come from so many corpora, a pair of subjects of each."""
    return _step(corpora=count, people=2, isa_pairs="one")


def over_people(count: int) -> Callable[[], object]:
    """A training step whose windows come from so many people, each two of whom are a pair."""
    return _step(corpora=1, people=count, isa_pairs="all")


def _step(corpora: int, people: int, isa_pairs: str) -> Callable[[], object]:
    model = MDJPTForPreTraining(MDJPTConfig.preset("fast", isa_pairs=isa_pairs)).train()
    ids, clips = torch.arange(STEP_WINDOWS), STEP_WINDOWS // corpora // people
    batch = {
        "input_values": torch.randn(STEP_WINDOWS, 60, 625),
        "group_ids": ids // clips,
        "dataset_ids": ids // (people * clips),
        "stimulus_ids": ids % clips,
    }
    return lambda: model(**batch).loss.backward()


def draw(curves: dict[str, tuple[tuple[int, ...], list[float]]], path: Path) -> None:
    """A panel for each curve, both axes logarithmic, with a linear one for comparison."""
    figure, axes = plt.subplots(1, len(curves), figsize=(14, 3.4), layout="constrained")
    for axis, (name, (sizes, seconds)) in zip(axes, curves.items(), strict=True):
        axis.loglog(sizes, seconds, "o-", label=f"measured, exponent {exponent(sizes, seconds):.2f}")
        axis.loglog(sizes, np.array(sizes) * seconds[0] / sizes[0], ":", color="grey", label="linear")
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        axis.set_xlabel(name)
        axis.set_ylabel("seconds")
        axis.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
