"""Streams of these tests stay within this machine and this run, whatever the network is like."""

import os
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
import torch

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification
from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline

sys.path.insert(0, str(Path(__file__).parent))
from live_streams import LABELS, NAMES, RATE, noise  # noqa: E402

# liblsl reads it once, when it is first used; processes started by tests inherit it.
_FOLDER = tempfile.TemporaryDirectory()
_CONFIG = Path(_FOLDER.name) / "lsl_api.cfg"
_CONFIG.write_text(
    "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\nAddressesOverride = {127.0.0.1}\n"
    f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {uuid.uuid4().hex}\n[log]\nlevel = -2\n"
)
os.environ["LSLAPICFG"] = str(_CONFIG)

SIZES = {"hidden_size": 8, "num_attention_heads": 2, "feature_size": 4}


@pytest.fixture(scope="session")
def recogniser():
    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
    model = MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **SIZES, **labels)).eval()
    with torch.no_grad():  # a head with opinions
        model.classifier[-1].weight.mul_(300)
    extractor = MDJPTFeatureExtractor(window_seconds=2.0, stride_seconds=1.0)
    return EEGEmotionPipeline(model=model, feature_extractor=extractor)


@pytest.fixture(scope="session")
def folder(recogniser, tmp_path_factory):
    """A saved classifier, and a recording of twelve seconds."""
    from mne import create_info
    from mne.io import RawArray

    folder = tmp_path_factory.mktemp("live")
    recogniser.model.save_pretrained(folder / "model")
    recogniser.feature_extractor.save_pretrained(folder / "model")
    raw = RawArray(noise(12) * 1e-6, create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    raw.save(folder / "noise_raw.fif", verbose="ERROR")
    return folder
