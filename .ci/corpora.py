"""Write docs/guides/readers.md, the table of all corpora, from what their readers say; `--check` only compares."""

import sys
from pathlib import Path

from mdjpt_hf.data_scripts import BUILDERS, builder_class
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guides" / "readers.md"

HEAD = """# Corpora that have a reader

From what the readers themselves say (`.ci/corpora.py` writes this page). `mdjpt data list NAME` prints how to get one
and what to cite; `mdjpt data prepare NAME --source FOLDER --out FOLDER` reads it.

- **Pairs** can be made where several people saw the same moments: inter-subject alignment needs them. Without them a
  corpus serves masked pre-training, fine-tuning and evaluation.
- **Same clips.** FACED, THU-EP and BCI2022 show the same 28 clips under the same ids (`stimulus_set`). A split between
  them is no split between stimuli: it is refused, clips are held out, or it is marked
  ([which](../explanations/protocols.md)). Pairs are made within each of them,
  or with `pairs_across: clips` across them ([what that is](../explanations/mdjpt.md#pairs-across-corpora)).
- **One clip for each class** means that clip and class are one thing; every score says so, and may be about the clip.
- **Checked**: every reader was written to the published or reported format and tested on files made to it; none but
  parts of FACED and EmoEEG-MC (their side files) was ever run on the owners' own files here.

| corpus | people, material | channels | hours | labels | terms | open | pairs |
|---|---|---|---|---|---|---|---|
"""

TAIL = """
BIDS studies are read by `mdjpt data prepare bids`, with rules for DENS, FACED, ds002721 and ds003004; own recordings by
`mdjpt data prepare recordings`.
"""


def page() -> str:
    """The page as it should be."""
    kinds = [builder_class(name) for name in BUILDERS]
    return HEAD + "".join(_row(kind) for kind in kinds if issubclass(kind, DownloadedCorpus)) + TAIL


def _row(kind: type[DownloadedCorpus]) -> str:
    about = kind.about
    classes = f"{len(about.label_names)}: {', '.join(about.label_names)}" if about.label_names else "none"
    if len(about.label_names) > 9:
        classes = f"{len(about.label_names)} emotions"
    ratings = about.rating_scale.partition(":")[0]
    shared = ", clips shared" if about.stimulus_set else ""
    cells = [
        f"`{about.name}` {about.title}",
        about.size,
        str(about.channels or ""),
        f"{about.hours:g}" if about.hours else "",
        "; ".join(filter(None, (classes, ratings))),
        about.licence,
        "yes" if about.access.startswith("Open") else "no",
        f"no: {about.unaligned}" if about.unaligned else f"yes{shared}",
    ]
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |\n"


def main() -> int:
    """Write or compare."""
    if "--check" in sys.argv:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
