"""Lets the tests of corpora import the modules beside them that fabricate files."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
