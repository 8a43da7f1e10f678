"""What every corpus builder shares: facts about the corpus, units of work, and trials out.

A builder says what the corpus is (`facts`), splits the work into independent units, usually one per subject
(`units`), and reads one unit (`read_unit`). Everything else (parallel work, resuming, validation, storage, the report)
is done once, in `mdjpt_hf.data.prepare`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mdjpt_hf.schema import Trial


@dataclass(frozen=True)
class CorpusFacts:
    """What a user must know before using a corpus.

    Attributes:
        name: The value of the `dataset` column.
        title: One line for people.
        licence: Terms under which the data may be used.
        redistributable: Whether those terms allow pushing it to a public repository.
        redistribution: Where the terms say so, or do not.
        licence_id: The licence as the Hub spells it, where there is an open one.
        own: The user's own data, whose licence is the user's to name.
        label_source: Whether `label` says what the stimulus was meant to evoke or what the subject reported.
        label_names: The corpus's own classes in label order.
        citation: BibTeX, empty where there is nothing to cite.
        access: How to get the data, and whether it is open.
        size: Subjects, sessions and stimuli of the whole corpus.
        channels: Electrodes of a recording, references among them; 0 where that differs.
        hours: Of all trials together, about; 0 where no source tells.
        rating_scale: Instrument and range the ratings in [0, 1] were rescaled from.
        unaligned: Why the same stimulus is not the same moment for everybody, such as a game played at one's own pace;
            empty where it is. Such a corpus has no pairs for inter-subject alignment.
        stimulus_set: Name of the stimuli, where other corpora show the same ones under the same ids.
    """

    name: str
    title: str
    licence: str
    redistributable: bool
    label_source: Literal["stimulus", "self-report", "none"]
    label_names: tuple[str, ...] = ()
    citation: str = ""
    access: str = ""
    rating_scale: str = ""
    size: str = ""
    channels: int = 0
    hours: float = 0.0
    redistribution: str = ""
    licence_id: str = ""
    own: bool = False
    unaligned: str = ""
    stimulus_set: str = ""


@dataclass(frozen=True)
class EmotionClass:
    """One class of a corpus and where it lies in the common vocabulary.

    Attributes:
        name: The corpus's own name.
        emotion: A word of `schema.EMOTIONS`, None where none means the same.
        valence: A word of `schema.VALENCE_CLASSES`, None where it is ambiguous.
    """

    name: str
    emotion: str | None = None
    valence: str | None = None


@dataclass
class UnitReport:
    """What happened while one unit was read; the preparation report is the list of these."""

    unit: str
    notes: list[str] = field(default_factory=list)  # channels renamed, interpolated, dropped; rates; amplitudes
    rejected: list[str] = field(default_factory=list)  # trials left out, each with its reason
    #: file -> what its signal is known by (`signatures`), where the same one could be there under another name
    signatures: dict[str, list[list[float]]] = field(default_factory=dict)


class CorpusBuilder(ABC):
    """Base of all corpora.

    Args:
        preprocessing (`str`): Name of a preprocessing preset of `mdjpt_hf.preprocessing`.
    """

    def __init__(self, preprocessing: str = "basic"):
        self.preprocessing = preprocessing

    @property
    @abstractmethod
    def facts(self) -> list[CorpusFacts]:
        """Facts of every dataset this builder writes; one, except where a builder makes several corpora."""

    @abstractmethod
    def units(self) -> list[str]:
        """Names of independent units of work, in the order their rows will stand."""

    def notes(self) -> list[str]:
        """What a user should know about the source as a whole, such as subjects that are not there."""
        return []

    @abstractmethod
    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Yield the preprocessed trials of one unit and note in `report` what was changed or left out."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Everything the rows depend on, as plain JSON: settings, and a fingerprint of the source files."""

    def metadata(self) -> dict[str, Any]:
        """What is stored beside the rows in `corpus.json`."""
        return {"facts": [asdict(facts) for facts in self.facts], "options": self.options()}
