"""What a command prints where nobody watches: lines, each note once."""

import logging
import subprocess
import sys

import pytest

from mdjpt_hf.runtime.notes import gathered
from mdjpt_hf.runtime.progress import LOGGER, Progress


def test_notes_that_files_share_are_told_once_with_a_count():
    notes = [f"s{n}.edf: renamed 14 channels" for n in range(40)] + ["s3.edf: resampled", "session 1: short"] * 2
    assert gathered(notes) == [
        "renamed 14 channels (40 files: s0.edf, s1.edf, s2.edf and 37 more)",
        "s3.edf: resampled (2 times)",
        "session 1: short (2 times)",
    ]
    assert gathered(["a.edf: dropped ECG", "left out: trial 3"]) == ["a.edf: dropped ECG", "left out: trial 3"]


def test_without_a_terminal_there_is_a_line_for_each_stretch(caplog):
    with caplog.at_level(logging.INFO, "mdjpt_hf"), Progress(200, 40, "pretrain", "step") as progress:
        for step in range(41, 201):
            progress.advance()
            if step % 10 == 0:
                progress.tell(f"loss {step}")
        progress.say("done with it")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "pretrain: 60 of 200 steps, loss 60" and lines[-2:] == [
        "pretrain: 200 of 200 steps, loss 200",
        "done with it",
    ]
    assert len(lines) == 9


def test_other_processes_tell_nothing(caplog):
    with caplog.at_level(logging.INFO, "mdjpt_hf"), Progress(2, 0, "pretrain", "step", shown=False) as progress:
        progress.advance("a")
        progress.advance("b")
    assert not caplog.records and LOGGER.name == "mdjpt_hf"


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True])
def test_piped_output_has_lines_and_quiet_has_fewer(tmp_path, quiet):
    command = [sys.executable, "-m", "mdjpt_hf", *(["--quiet"] if quiet else []), "data", "prepare", "simulated"]
    command += ["--only", "sim-14", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "\r" not in done.stdout + done.stderr
    assert "is ready" in done.stdout and ("prepare: 2 of 12 units" in done.stdout) != quiet


def test_libraries_draw_no_bars_where_nobody_watches():
    """In a process of its own: loading weights and writing shards would print carriage returns."""
    code = (
        "from mdjpt_hf.runtime.progress import print_log; "
        "from mdjpt_hf.runtime.registration import register; register(); print_log(); "
        "from transformers.utils.logging import tqdm; from datasets import are_progress_bars_disabled as datasets; "
        "from huggingface_hub.utils import are_progress_bars_disabled as hub; print(datasets(), hub()); "
        "[None for _ in tqdm(range(3), desc='weights')]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "True True") and "weights" not in done.stderr
