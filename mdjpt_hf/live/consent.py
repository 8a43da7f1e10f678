"""Nobody is decoded without knowing it: a text that is shown, an answer, and a record of both."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mdjpt_hf.errors import ConfigurationError

TEXT = """\
Your brain activity (EEG) will be recorded, and a program will guess emotions from it while you wear the electrodes.
Its guesses are often wrong, also when it looks sure. They are no diagnosis and no proof of what you feel or think.
They may be shown on a screen, written to a file, or sent to other programs in this room, as you were told.
You may stop at any moment, without giving a reason and without a disadvantage, and have what was recorded deleted."""

QUESTION = "Has the person who wears the electrodes read this, and agreed?"


def ask_consent(
    text_file: Path | None, already_shown: bool, asks: bool, tell: Callable[[str], None], confirm: Callable[[str], bool]
) -> dict[str, Any]:
    """Show the text and ask, once a session.

    Args:
        text_file: A text of your own, such as an ethics board's; None for `TEXT`.
        already_shown: The user says that it was shown and agreed to before.
        asks: Whether somebody can answer. tell, confirm: Show a text; ask a question.

    Returns:
        The record: `text`, its `sha256`, `how` it was given, and the `time`.

    Raises:
        ConfigurationError: If it was not given, or nobody can be asked, or the text cannot be read.
    """
    text = TEXT if text_file is None else _read(text_file)
    how = "stated with --consent-shown"
    if not already_shown:
        if not asks:
            raise ConfigurationError(
                "nobody can be asked whether the person who is recorded has agreed",
                value=False,
                remedy="Show them the text (docs/guides/live.md; --consent FILE: your own), then use --consent-shown",
            )
        tell(text)
        if not confirm(QUESTION):
            raise ConfigurationError("no consent was given", value=False, remedy="Do not record them")
        how = "asked at the terminal"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"how": how, "time": datetime.now(UTC).isoformat(timespec="seconds"), "sha256": digest, "text": text}


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read: {error}", path=path, remedy="Give a text file in UTF-8") from error
    if not text:
        raise ConfigurationError("holds no text", path=path, remedy="Write what the person is to be told")
    return text


def keep_record(record: dict[str, Any], folder: Path, stream: str, model: str) -> Path:
    """Add a record to `consent.jsonl` of a folder; the file.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    path = folder / "consent.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**record, "stream": stream, "model": model}, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"consent cannot be recorded ({error.strerror})", path=path, remedy="Make the folder writable"
        ) from error
    return path
