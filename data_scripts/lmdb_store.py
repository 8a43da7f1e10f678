"""Arrays in LMDB stores of strangers: read in a process of its own, and without running what their pickles ask for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.data_scripts.pickles import unpickled
from mdjpt_hf.errors import CorpusError


@isolated()
def read_lmdb(path: Path, keys: Sequence[str]) -> list[Any]:
    """The arrays, numbers and texts that are pickled under some keys.

    Args:
        path: The file `data.mdb`. keys: In the order wanted.

    Raises:
        CorpusError: If the store is damaged, a key is not there, or a pickle asks for anything else.
    """
    import lmdb

    try:
        with (
            lmdb.open(str(path), subdir=False, readonly=True, lock=False) as store,
            store.begin() as transaction,
        ):
            found = [transaction.get(key.encode()) for key in keys]
    except lmdb.Error as error:
        raise CorpusError(f"is no LMDB store ({error})", path=path, remedy="Make or copy it again") from error
    if missing := [key for key, value in zip(keys, found, strict=True) if value is None]:
        raise CorpusError(
            f"holds nothing under {', '.join(missing[:3])}",
            path=path,
            value=missing,
            remedy="Make the folder again: its table and its store do not belong together",
        )
    return [unpickled(value, path) for value in found if value is not None]
