"""What others have published, with where each figure comes from; the only place for such figures."""

from dataclasses import dataclass

PAPER = "arXiv 2510.22197"

#: How a figure reached this file, from the best kind of source to the weakest.
ABSTRACT = f"{PAPER}, abstract"
QUOTED = f"{PAPER}, table, as quoted by third parties"
SECONDARY = f"a secondary article only, said to be of {PAPER}"
INDEPENDENT = "independent re-measurement, arXiv 2609.32743"


@dataclass(frozen=True)
class Published:
    """A published score.

    Attributes:
        corpus: Name as in the prepared corpora. protocol: `few-shot`, `zero-shot`, or another one in words.
        system: Whose score. text: In per cent, with as many digits as were published; ± is a standard deviation.
        metric: What was measured. source: One of the constants above. note: What one must know to read it.
    """

    corpus: str
    protocol: str
    system: str
    text: str
    metric: str = "accuracy"
    source: str = QUOTED
    note: str = ""

    @property
    def secondary(self) -> bool:
        """Whether the paper itself was not the source."""
        return self.source != ABSTRACT

    @property
    def value(self) -> float:
        """In per cent."""
        return float(self.text.partition(" ")[0])


#: The system all the others stand beside.
SYSTEM = "mdJPT"

PUBLISHED: tuple[Published, ...] = (
    Published("seed_v", "few-shot", SYSTEM, "65.02 ± 0.98"),
    Published("seed_v", "few-shot", "LaBraM", "41.80"),
    Published("seed_v", "few-shot", "DE", "45.58"),
    Published("seed_v", "zero-shot", SYSTEM, "52.91"),
    Published("seed_v", "zero-shot", "LaBraM", "39.70"),
    Published("seed", "zero-shot", SYSTEM, "55.42"),
    Published("seed", "zero-shot", "next best", "50.54"),
    Published("faced", "few-shot", SYSTEM, "23.46", note="nine classes"),
    Published("faced", "zero-shot", SYSTEM, "73.34", source=SECONDARY, note="number of classes not stated"),
    Published("deap", "zero-shot", SYSTEM, "73.3"),
    Published("seed", "cross-subject", SYSTEM, "53.2", metric="balanced accuracy", source=INDEPENDENT),
    Published("seed", "cross-subject", "REVE", "58.2", metric="balanced accuracy", source=INDEPENDENT),
    Published("seed", "cross-subject", "LaBraM", "48.3", metric="balanced accuracy", source=INDEPENDENT),
)

#: Averages over datasets, which no row of a table shows.
AVERAGES: tuple[tuple[str, str], ...] = (
    ("few-shot AUROC, average gain over the best large EEG model", "+4.57 points"),
    ("zero-shot accuracy, average gain over the best large EEG model", "+11.92 points"),
    ("accuracy from one pre-training dataset to five", "+8.55 points"),
)

#: Of the published network: what the paper says, and what its released program has.
PAPER_PARAMETERS, RELEASED_PARAMETERS = "1.0 million", 754_114

#: Steps of the published pre-training: 20 epochs of 1,024.
PAPER_STEPS = 20_480


@dataclass(frozen=True)
class WholeCorpus:
    """A corpus as it was published.

    Attributes:
        title: Its name. subjects: How many. trials: Of one subject, over all sessions.
        seconds: A typical trial is not shorter than this.
    """

    title: str
    subjects: int
    trials: int
    seconds: float


#: The six corpora of the paper.
CORPORA: dict[str, WholeCorpus] = {
    "seed": WholeCorpus("SEED", 15, 45, 150),
    "seed_iv": WholeCorpus("SEED-IV", 15, 72, 60),
    "seed_v": WholeCorpus("SEED-V", 16, 45, 60),
    "seed_vii": WholeCorpus("SEED-VII", 20, 80, 90),
    "faced": WholeCorpus("FACED", 123, 28, 29),
    "deap": WholeCorpus("DEAP", 32, 40, 59),
}

#: The paper takes the first subjects of FACED only.
PAPER_FACED_SUBJECTS = 20


def published(corpus: str, protocol: str) -> list[Published]:
    """What is published of a corpus under a protocol; empty where nothing is."""
    return [figure for figure in PUBLISHED if (figure.corpus, figure.protocol) == (corpus, protocol)]
