"""Corpora: the raw files of each become rows of the one schema. One module per corpus, loaded on demand."""

from importlib import import_module

#: Corpus name -> "module:class". A new corpus is one module, one file of `facts/` and one line here.
BUILDERS = {
    "simulated": "simulated:SimulatedCorpora",
    "recordings": "recordings:Recordings",
    "bids": "bids:BIDS",
    "deap": "deap:DEAP",
    "dreamer": "dreamer:DREAMER",
    "amigos": "amigos:AMIGOS",
    "emoeeg_mc": "emoeeg_mc:EmoEEGMC",
    "seed": "seed:SEED",
    "seed_iv": "seed_iv:SEEDIV",
    "seed_v": "seed_v:SEEDV",
    "seed_vii": "seed_vii:SEEDVII",
    "seed_fra": "seed_fra:SEEDFRA",
    "seed_ger": "seed_ger:SEEDGER",
    "faced": "faced:FACED",
    "thu_ep": "thu_ep:THUEP",
    "bci2022": "bci2022:BCI2022",
    "mahnob": "mahnob:MAHNOB",
    "refed": "refed:REFED",
    "eegemotions27": "eegemotions27:EEGEmotions27",
    "gameemo": "gameemo:GAMEEMO",
    "dasps": "dasps:DASPS",
    "eav": "eav:EAV",
    "mped": "mped:MPED",
}


def builder_class(name: str) -> type:
    """The builder class of a corpus.

    Raises:
        CorpusError: If the name is unknown; the message lists those known.
    """
    if name not in BUILDERS:
        from mdjpt_hf.errors import CorpusError

        raise CorpusError(f"unknown corpus {name!r}", value=name, remedy=f"Choose one of {', '.join(BUILDERS)}")
    module, _, attribute = BUILDERS[name].partition(":")
    return getattr(import_module(f"mdjpt_hf.data_scripts.{module}"), attribute)
