"""The six corpora of the paper, made up at a tiny size in their real file formats and prepared by the real command."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "data_scripts")]  # where files are made up

from fabricated_corpora import SOURCES  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from mdjpt_hf.cli import app  # noqa: E402
from mdjpt_hf.data_scripts.seed_v import SEEDV  # noqa: E402

#: A network for windows of a second, and a few steps of training.
SETTINGS = {
    "name": "tiny",
    "model": {
        "preset": "tiny",
        "window_seconds": 1.0,
        "patch_length": 10,
        "patch_stride": 4,
        "hidden_size": 8,
        "feature_size": 4,
        "spatial_channels": 6,
        "intermediate_size": 12,
        "map_attention_kernel": 4,
        "map_attention_pool": 3,
        "projector_pool": 4,
    },
    "steps": 2,
    "steps_per_epoch": 2,
    "log_steps": 2,
    "eval_steps": 2,
    "checkpoint_steps": 1,
    "held_out_subjects": 0,
    "num_threads": 1,
    "trackers": [],
}


@pytest.fixture(scope="session")
def corpora(tmp_path_factory) -> Path:
    """A folder with every corpus prepared, in a folder of its own."""
    root = tmp_path_factory.mktemp("corpora")
    with pytest.MonkeyPatch.context() as patch:
        # Where the clips lie in an hour of recording is part of SEED-V's reader; here they are short.
        patch.setattr(SEEDV, "clips", tuple(tuple((1.0 + 1.5 * n, 2.2 + 1.5 * n) for n in range(15)) for _ in range(3)))
        for name, write in SOURCES.items():
            source = root / "downloads" / name
            write(source)
            prepare(name, source, root / "data" / name)
    return root / "data"


def prepare(name: str, source: Path, out: Path) -> None:
    """`mdjpt data prepare`, with the authors' cleaning taken as it is."""
    options = ["--source", str(source), "--out", str(out), "--preprocessing", "none"]
    result = CliRunner().invoke(app, ["data", "prepare", name, *options])
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> str:
    """Settings of a pre-training of a few seconds."""
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return str(path)
