"""Neuroscan `.cnt` recordings of corpora; how they are read stands in `modeling/neuroscan_mdjpt.py`."""

from pathlib import Path

from mdjpt_hf.data_scripts.files import corpus_error, refuse_pointers
from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.errors import SignalError
from mdjpt_hf.modeling import neuroscan_mdjpt
from mdjpt_hf.modeling.neuroscan_mdjpt import NeuroscanRecording

__all__ = ["NeuroscanRecording", "read_neuroscan"]


@isolated(NeuroscanRecording)
def read_neuroscan(path: Path) -> NeuroscanRecording:
    """Read a Neuroscan recording.

    Raises:
        CorpusError: If it is a pointer, truncated, or no Neuroscan recording.
        MontageError: If no channel is a known electrode, with the file in front.
    """
    refuse_pointers(path)
    try:
        return neuroscan_mdjpt.read_neuroscan(path)
    except SignalError as error:
        raise corpus_error(error) from error
