"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mdjpt_hf.errors import ConfigurationError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file meanwhile: beside `path`, which it becomes when the block ends well, and is gone otherwise.

    Raises:
        OSError: If it cannot take that place.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with open(partial, "rb+") as file:  # Windows syncs only what it may write
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Say of a file or folder that it cannot be written, where a block fails for that.

    Raises:
        ConfigurationError: For any `OSError` of the block.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot be written ({error.strerror or error})",
            path=path,
            value=str(path),
            remedy="Make the place writable, or choose another",
        ) from error


def check_picture(path: Path) -> None:
    """Refuse a name that no picture can have, before there is one to draw.

    Raises:
        ConfigurationError: If it ends in no format of pictures, or its folder does not exist.
    """
    from matplotlib.backend_bases import FigureCanvasBase  # loaded only where something is drawn

    check_folder_of(path)
    if path.suffix.lower().removeprefix(".") not in FigureCanvasBase.filetypes:
        raise ConfigurationError(
            f"{path.name} is of no format that pictures have",
            value=path.suffix,
            remedy="Give it a name that ends in .png, .svg or .pdf",
        )


def check_folder_of(path: Path) -> None:
    """Refuse a file in a folder that is not there, before there is something to write.

    Raises:
        ConfigurationError: With the file.
    """
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(
            f"the folder of {path} does not exist", value=str(path), remedy="Make it, or write elsewhere"
        )


def write_picture(figure: Any, path: Path, **settings: Any) -> None:
    """Draw a figure of matplotlib into a file, of the format its name says, whole or not at all.

    Raises:
        ConfigurationError: If nothing can be written there.
    """
    with writable(path), whole_file(path) as partial:
        figure.savefig(partial, format=path.suffix.lower().removeprefix("."), **settings)
