"""Noise to evaluate on, prepared once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the module that fabricates corpora

from noise_corpora import NoiseCorpus  # noqa: E402

from mdjpt_hf.data.corpora import open_corpora  # noqa: E402
from mdjpt_hf.data.prepare import prepare  # noqa: E402


@pytest.fixture(scope="session")
def noise_folders(tmp_path_factory):
    """Two corpora of 6 and 4 subjects, 8 clips, 3 windows each."""
    folder = tmp_path_factory.mktemp("noise")
    corpora = [NoiseCorpus("one", 6), NoiseCorpus("two", 4)]
    return [prepare(corpus, folder / corpus.name, progress=False).folder for corpus in corpora]


@pytest.fixture(scope="session")
def noise_sets(noise_folders):
    return open_corpora(noise_folders)
