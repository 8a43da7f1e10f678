"""Pages link to `examples/NAME.py`, to be read on the forge; in the manual such a link leads to the gallery's page."""

import re
from pathlib import Path

from sphinx.application import Sphinx

_EXAMPLE = re.compile(r"\]\((?P<up>(?:\.\./)+)examples/(?P<name>\w+)\.(?:py|txt)\)")


def to_gallery(app: Sphinx, docname: str, source: list[str]) -> None:
    """Exchange the links of one page, in place."""

    def exchanged(link: re.Match[str]) -> str:
        name = "index" if link["name"] == "README" else link["name"]
        shown = (Path(app.srcdir) / "gallery" / f"{name}.rst").exists()  # a script that is not shown stays a download
        return f"]({link['up'].removeprefix('../')}gallery/{name}.rst)" if shown else link[0]

    source[0] = _EXAMPLE.sub(exchanged, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """After the gallery has written its pages."""
    app.connect("source-read", to_gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
