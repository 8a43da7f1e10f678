"""Before a release: the tag, the version, the changelog and the citation say the same: `check_release.py v0.1.0`."""

import re
import sys
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[1]


def faults(tag: str, root: Path = ROOT) -> list[str]:
    """What does not fit the tag."""
    found = re.search(r'__version__ = "(.+)"', (root / "mdjpt_hf" / "version.py").read_text(encoding="utf-8"))
    version = found.group(1) if found else ""
    wrong = [] if tag == f"v{version}" else [f"the tag is {tag}, mdjpt_hf/version.py says {version!r}: tag v{version}"]
    if str(Version(version)) != version or Version(version).local:
        wrong.append(f"{version!r} is no version as packages write it")
    heading = re.search(rf"^## {re.escape(version)}\b(.*)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    if heading is None or "unreleased" in heading.group(1):
        wrong.append(f"CHANGELOG.md has no section {version} with a date")
    if f"\nversion: {version}\n" not in (root / "CITATION.cff").read_text(encoding="utf-8"):
        wrong.append(f"CITATION.cff does not say version: {version}")
    return wrong


if __name__ == "__main__":
    told = faults(sys.argv[1])
    print("\n".join(told) or f"{sys.argv[1]} may be released")
    sys.exit(bool(told))
