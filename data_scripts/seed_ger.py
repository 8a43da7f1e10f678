"""SEED-GER: 8 German subjects saw 20 film clips in three sessions; whole sessions, until their times are settled."""

from collections.abc import Iterator
from pathlib import Path

from mdjpt_hf.data_scripts.base import CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus, MarkedTrial, Product, SourceRecording, file_of_each
from mdjpt_hf.data_scripts.neuroscan import read_neuroscan
from mdjpt_hf.data_scripts.seed_family import BCMI_LICENCE, BCMI_REDISTRIBUTION
from mdjpt_hf.data_scripts.seed_fra import CITATION


class SEEDGER(DownloadedCorpus):
    """SEED-GER as whole sessions without labels.

    Twenty labels are published but only eighteen pairs of times are known, so that no clip's label is certain. Every
    session is one trial; since nobody knows where its clips begin, two people share no moment of it.
    """

    # the folder above tells it from its French sister, whose files have the same names
    products = (Product("German/01-EEG-raw", r"German/01-EEG-raw/(?P<subject>\d{1,2})_(?P<session>[123])\.cnt"),)
    expected_subjects = 8
    about = CorpusFacts(
        name="seed_ger",
        title="SEED-GER",
        licence=BCMI_LICENCE,
        redistributable=False,
        redistribution=BCMI_REDISTRIBUTION,
        label_source="none",
        citation=CITATION,
        access="Not open: apply for it with the licence agreement at https://bcmi.sjtu.edu.cn/home/seed/; give the "
        "folder German, which holds 01-EEG-raw",
        size="8 subjects, 3 sessions, 20 film clips",
        channels=62,
        unaligned="only 18 of the times of 20 clips are known, so that whole sessions are read",
    )

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
