"""Models and corpora that travel: cards, the Hub, one file for other programs, checkpoints of the authors' program."""
