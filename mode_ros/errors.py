"""The one exception that a user's input can cause."""

import difflib
import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user gave cannot be used.

    The message is a whole sentence: it names the value, says why it cannot be used and what would work. Commands
    print it without a traceback; nodes log it and refuse to configure.
    """


def suggest(name: str, known: Iterable[str]) -> str:
    """', did you mean ...?' for a name that is not among `known`; '' where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f', did you mean {near[0]!r}?' if near else ''


def in_words(error: BaseException) -> str:
    """What went wrong as a part of a sentence: what is missing by its name, and no numbers of the system's."""
    # Libraries say more than a line, and give files that are not there in their own words.
    first = (str(error).splitlines() or [''])[0].strip().rstrip('.')
    text = re.sub(r'\[Errno \d+\]:? *', '', first)
    if isinstance(error, FileNotFoundError):
        return f'{error.filename or _path_in(text)} is missing'
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f'{error.filename}: {error.strerror[:1].lower()}{error.strerror[1:]}'
    if isinstance(error, KeyError):
        return f'{error} is missing in it'
    return text or type(error).__name__


def _path_in(text: str) -> str:
    quoted = re.search(r"'([^']+)'", text)
    return quoted[1] if quoted else text


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Turns a full disk into a UserError, for work that is kept piece by piece and goes on when typed again."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            'The disk is full. What is finished is kept: free some space and type the same command again.'
        ) from error
