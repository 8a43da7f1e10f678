"""What the examples share: small simulated corpora, and an encoder pre-trained on three of them.

It is made when first asked for and kept in `outputs/examples` (remove the folder to make it anew). It is the default
run without its guide, and with the block of the authors' program, which trains about five times as fast.
"""

from pathlib import Path

from mdjpt_hf import RunConfig, load_corpus, pretrain

FOLDER = Path("outputs", "examples")
TRAINED = ("sim-62", "sim-32", "sim-14")  # 62, 32 and 14 channels; ratings in the last
UNSEEN = "sim-30"


def corpus(name=UNSEEN):
    """Rows of one simulated experiment: ten people, trials of 20 s."""
    return load_corpus("simulated", corpora=[name], subjects=10, trial_seconds=20.0)


def encoder():
    """The folder of the pre-trained encoder; no labels were used, and `sim-30` was not seen."""
    folder = FOLDER / "encoder"
    if not (folder / "model.safetensors").exists():
        settings = RunConfig(
            data=[corpus(name) for name in TRAINED],
            output_dir=str(folder),
            model={"preset": "tiny", "block": "released", "contrastive_temperature": 0.4},
            **{"steps": 200, "learning_rate": 6e-3, "adam_betas": (0.9, 0.98), "decay_share": 0.3},
            **{"datasets_per_step": 1, "viewers": 8, "clips": 8, "held_out_subjects": 0, "trackers": ()},
        )
        pretrain(settings, resume=True)  # where it was broken off, if it was
    return str(folder)


if __name__ == "__main__":
    print(encoder())
