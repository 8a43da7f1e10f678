"""Two processes compute what one computes on the same global batch."""

import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining

CONFIG = {"hidden_size": 8, "feature_size": 3, "spatial_channels": 5, "intermediate_size": 12, "cda_weight": 0.7}
PAIRS, DATASETS, CLIPS = 2, 2, 3


#: Without and with masked prediction beside the alignment, and with a guide.
CLUSTERS = {"mdjpt": [], "mdjpt+masked": [5, 7], "guided": []}


def build_model(objective: str) -> MDJPTForPreTraining:
    torch.manual_seed(0)
    return MDJPTForPreTraining(MDJPTConfig.preset("tiny", **CONFIG, max_clusters=CLUSTERS[objective])).double()


def global_batch(objective: str) -> dict[str, torch.Tensor]:
    """Two datasets x two pairs x two subjects x three clips; rows of pair p belong to process p."""
    generator = torch.Generator().manual_seed(1)
    rows = [(d, p, s, c) for p in range(PAIRS) for d in range(DATASETS) for s in range(2) for c in range(CLIPS)]
    dataset, pair, subject, clip = torch.tensor(rows).T
    masked = {}
    if CLUSTERS[objective]:
        order = torch.rand(len(rows), 25, generator=generator).argsort(dim=1)
        labels = [torch.randint(count, (len(rows), 25), generator=generator) for count in CLUSTERS[objective]]
        masked = {"token_mask": order < 12, "labels": torch.stack(labels, dim=-1)}
    guided = {}
    if objective == "guided":
        guide = torch.randn(len(rows), 4, generator=generator, dtype=torch.float64)
        guided = {"guide": guide, "guide_sets": dataset * PAIRS + pair, "guide_weight": torch.tensor(0.9)}
    return {
        **masked,
        **guided,
        "input_values": torch.randn(len(rows), 60, 625, generator=generator, dtype=torch.float64),
        "group_ids": (dataset * PAIRS + pair) * 2 + subject,
        "dataset_ids": dataset,
        "stimulus_ids": pair * CLIPS + clip,
    }


def part_of(batch: dict[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    half = len(batch["group_ids"]) // PAIRS
    return {name: tensor[rank * half : (rank + 1) * half] if tensor.dim() else tensor for name, tensor in batch.items()}


def gradients(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    output = model(**batch)
    output.loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def main(folder: str, objective: str) -> None:
    """What each process runs: its own pairs, wrapped as in training."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    mine = gradients(DistributedDataParallel(build_model(objective)), part_of(global_batch(objective), rank))
    torch.save(mine, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("objective", CLUSTERS)
def test_the_gradient_of_two_processes_is_that_of_one(tmp_path, objective):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(PAIRS)]
    subprocess.run([*launcher, __file__, str(tmp_path), objective], check=True, capture_output=True)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(PAIRS))
    expected = gradients(build_model(objective), global_batch(objective))
    assert torch.equal(first, second)
    assert (first - expected).norm() / expected.norm() < 1e-5
    # Without the exchange of covariances the gradients would differ: the check has teeth.
    alone = build_model(objective)
    assert (gradients(alone, part_of(global_batch(objective), 0)) - expected).norm() / expected.norm() > 1e-2


if __name__ == "__main__":
    main(*sys.argv[1:])
