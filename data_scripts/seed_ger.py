"""SEED-GER: 8 German subjects saw 20 film clips in three sessions; whole sessions, until their times are settled."""

from collections.abc import Iterator
from pathlib import Path

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.neuroscan import read_neuroscan
from mdjpt_hf.data_scripts.products import Product, file_of_each
from mdjpt_hf.data_scripts.published import published


class SEEDGER(DownloadedCorpus):
    """SEED-GER as whole sessions without labels.

    Twenty labels are published but only eighteen pairs of times are known, so that no clip's label is certain. Every
    session is one trial; since nobody knows where its clips begin, two people share no moment of it.
    """

    about, classes = published("seed_ger")
    # the folder above tells it from its French sister, whose files have the same names
    products = (Product("German/01-EEG-raw", r"German/01-EEG-raw/(?P<subject>\d{1,2})_(?P<session>[123])\.cnt"),)
    expected_subjects = 8

    def notes(self) -> list[str]:
        """What is there, and why there are no labels."""
        return [*super().notes(), "no labels: only 18 of the times of 20 clips are known; whole sessions are read"]

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per session, with one trial."""
        sessions = file_of_each(files, lambda file: int(self.product.parts(file)["session"]) - 1)
        for session, file in sessions.items():
            recording = read_neuroscan(file)
            yield SourceRecording(
                file,
                session,
                recording.signal,
                recording.ch_names,
                recording.sampling_rate,
                [MarkedTrial("session", 0)],
                notes=recording.notes,
            )
