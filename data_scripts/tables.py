"""Tables of numbers as text, a line per sample: what some corpora give their recordings as."""

from pathlib import Path

import numpy as np
import pandas as pd

from mdjpt_hf.data_scripts.files import refuse_pointers
from mdjpt_hf.errors import CorpusError


def read_samples(path: Path, columns: int, separator: str, header: bool) -> tuple[list[str], np.ndarray]:
    """Names of the columns and their numbers.

    Args:
        path: The file. separator: Between the numbers of a line.
        columns: How many there must be; empty ones at the end of every line do not count.
        header: Whether the first line names them.

    Returns:
        The names, empty without a header, and `(columns, samples)` float64.

    Raises:
        CorpusError: If it is a pointer, empty, not of so many columns, or holds anything but numbers.
    """
    refuse_pointers(path)
    try:
        table = pd.read_csv(
            path, sep=separator, header=0 if header else None, skipinitialspace=True, encoding="utf-8-sig"
        )
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    table = table.loc[
        :, [not (table[name].isna().all() and position >= columns) for position, name in enumerate(table)]
    ]
    numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy(float).T
    if numbers.shape[0] != columns or not numbers.size:
        raise _unreadable(path, f"{numbers.shape[0]} columns and {numbers.shape[1]} lines, wanted {columns} columns")
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=0))
    if len(bad):
        raise _unreadable(path, f"line {bad[0] + 1 + header} holds something else")
    return [str(name).strip() for name in table] if header else [], numbers


def _unreadable(path: Path, found: str) -> CorpusError:
    return CorpusError(
        f"cannot be read as a table of numbers ({found[:200]})", path=path, value=found, remedy="Download it again"
    )
