"""Why the contrastive loss waits: signal and noise of its gradient, `python benchmarks/plateau.py DATA` (simulated).

For fresh weights, and for several ways to spend 64 windows on a step, the gradient of many batches is taken apart into
what they agree on and what differs: the signal-to-noise ratio |mean|² / variance, of the whole network and of each
stage. A step's progress grows with it; at 0.02, fifty steps are needed for one step's worth of agreement.
"""

import argparse
from pathlib import Path

import torch

from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining

#: Name -> viewers, clips (0: all), datasets in a step, temperature; each 64 windows or about as many.
WAYS = {
    "2 viewers, 16 clips, 2 corpora, τ 0.07 (the paper's)": (2, 0, 2, 0.07),
    "2 viewers, 16 clips, 2 corpora, τ 0.2 (before)": (2, 0, 2, 0.2),
    "2 viewers, 16 clips, 2 corpora, τ 0.4": (2, 0, 2, 0.4),
    "4 viewers, 16 clips, 1 corpus, τ 0.4": (4, 16, 1, 0.4),
    "8 viewers, 8 clips, 1 corpus, τ 0.07": (8, 8, 1, 0.07),
    "8 viewers, 8 clips, 1 corpus, τ 0.2": (8, 8, 1, 0.2),
    "8 viewers, 8 clips, 1 corpus, τ 0.4 (now)": (8, 8, 1, 0.4),
    "8 viewers, 8 clips, 1 corpus, τ 0.8": (8, 8, 1, 0.8),
}
STAGES = ("channel_encoder", "spatial_projection", "dynamics", "projector")


def main() -> None:
    """Print the ratio of every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="prepared simulated corpora")
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    trial_sets = [trials for trials in open_corpora([arguments.data]) if trials.name != "sim-30"]
    print("| a step | all | " + " | ".join(STAGES) + " |\n|" + "---|" * (2 + len(STAGES)))
    for name, way in WAYS.items():
        print(
            f"| {name} | " + " | ".join(f"{ratio:.3f}" for ratio in ratios(trial_sets, way, arguments)) + " |",
            flush=True,
        )


def ratios(trial_sets, way, arguments) -> list[float]:
    """Signal-to-noise ratio of the whole gradient, and of each stage's."""
    viewers, clips, datasets, temperature = way
    torch.manual_seed(arguments.seed)
    settings = {"contrastive_temperature": temperature, "ffn_norm": False, "isa_pairs": "all"}
    model = MDJPTForPreTraining(MDJPTConfig.preset("tiny", **settings))
    samplers = [PairSampler(trials, 625, viewers=viewers, clips=clips) for trials in trial_sets]
    steps = PretrainingSteps(samplers, arguments.batches, 1000, arguments.seed, datasets_per_step=datasets)
    gradients: dict[str, list[torch.Tensor]] = {stage: [] for stage in STAGES}
    for number in range(arguments.batches):
        model.zero_grad()
        model(**steps[number]).isa_loss.backward()
        for stage in STAGES:
            own = [p.grad.flatten() for name, p in model.named_parameters() if stage in name]
            gradients[stage].append(torch.cat(own).clone())
    apart = [_parts(torch.stack(own)) for own in gradients.values()]
    whole = [sum(part) for part in zip(*apart, strict=True)]
    return [signal / noise for signal, noise in (whole, *apart)]


def _parts(gradients: torch.Tensor) -> tuple[float, float]:
    """|mean|², without what the noise adds to it, and the variance: of `(batches, parameters)`."""
    noise = float(gradients.var(dim=0).sum())
    return float(gradients.mean(dim=0).square().sum()) - noise / len(gradients), noise


if __name__ == "__main__":
    main()
