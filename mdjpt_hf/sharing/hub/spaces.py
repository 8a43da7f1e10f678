"""A Space on its way to the Hub: a folder with an app, sent whole."""

from pathlib import Path
from typing import Any

from mdjpt_hf.errors import HubError
from mdjpt_hf.sharing.hub.files import CHECKSUMS_FILE, SharedFile, with_checksums
from mdjpt_hf.sharing.hub.upload import Destination, Pushed, push
from mdjpt_hf.version import __version__


def push_space(
    folder: str | Path, repo_id: str, *, dry_run: bool = False, to_folder: str | Path | None = None, **where: Any
) -> Pushed:
    """Send the folder of a Gradio Space as one commit, compared afterwards.

    Hidden files and compiled Python stay here.

    Args:
        folder: With `app.py` and a `README.md` that opens with the Space's settings.
        repo_id, dry_run, to_folder: See [`mdjpt_hf.sharing.hub.push_model`].
        where: `private`, `revision` and `create_pr` of [`mdjpt_hf.sharing.hub.Destination`].

    Raises:
        HubError: If it is no folder of a Space, or the Hub refuses.
        ChecksumError: If the files on the Hub are not those sent.
    """
    folder = Path(folder)
    missing = [name for name in ("README.md", "app.py") if not (folder / name).is_file()]
    if missing:
        raise HubError(f"lacks {', '.join(missing)}", path=folder, value=missing, remedy="Give the folder of a Space")
    if not (folder / "README.md").read_text(encoding="utf-8").startswith("---\n"):
        raise HubError(
            "does not open with the settings of the Space",
            path=folder / "README.md",
            remedy="Add the lines between ---",
        )
    places = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    hidden = [place for place in places if any(part.startswith(".") or part == "__pycache__" for part in place.parts)]
    files = [
        SharedFile(place.as_posix(), folder / place)
        for place in places
        if place not in hidden and place.as_posix() != CHECKSUMS_FILE
    ]
    to = Destination(repo_id, "space", **where)
    return push(with_checksums(files), to, f"Space by mdjpt-hf {__version__}", dry_run, to_folder)
