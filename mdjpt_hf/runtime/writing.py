"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
