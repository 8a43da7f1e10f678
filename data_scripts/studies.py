"""Open studies that can be downloaded without an application: where they are, and how they are read then."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OpenStudy:
    """A study at NEMAR, which mirrors OpenNeuro.

    Attributes:
        nemar: Its id there; `on` stands before the number of a study of OpenNeuro.
        title: One line for people.
        prepare: What follows `mdjpt data prepare`.
        terms: What its files say of their terms beside `License` in `dataset_description.json`; empty for nothing.
    """

    nemar: str
    title: str
    prepare: str
    terms: str = ""


#: By the names that the command line takes.
STUDIES = {
    "dens": OpenStudy("on003751", "DENS: film clips, 40 people", "bids --rules dens", "its README names ODbL"),
    "ds002721": OpenStudy("on002721", "music, 31 people", "bids --rules ds002721", "its README names CC BY 4.0"),
    "ds003004": OpenStudy("on003004", "imagined emotions, 34 people", "bids --rules ds003004"),
    "faced": OpenStudy("nm000112", "FACED in BIDS: film clips, 123 people", "bids --rules faced"),
    "emoeeg-mc": OpenStudy("on005540", "EmoEEG-MC: videos and imagery, 59 people", "emoeeg_mc"),
}
