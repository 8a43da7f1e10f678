"""Notes on many files, told once: what is said of forty is one line with a count."""

import re
from collections.abc import Iterable

#: A file's name in front of what is said of it.
_FILE = re.compile(r"^(?P<file>[^:\n]*\.\w{2,5}): (?P<text>.*)$", re.DOTALL)
#: Files named at most.
_NAMED = 3


def gathered(notes: Iterable[str]) -> list[str]:
    """The notes in the order of their first mention, equal ones once, with the files they are about."""
    files: dict[str, list[str]] = {}
    for note in notes:
        found = _FILE.match(note)
        text, file = (found["text"], found["file"]) if found else (note, "")
        files.setdefault(text, []).append(file)
    return [_line(text, own) for text, own in files.items()]


def _line(text: str, files: list[str]) -> str:
    names = list(dict.fromkeys(filter(None, files)))
    if len(files) == 1:
        return f"{names[0]}: {text}" if names else text
    if len(names) < 2:
        return f"{names[0] + ': ' if names else ''}{text} ({len(files)} times)"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{text} ({len(names)} files: {', '.join(names[:_NAMED])}{more})"
