"""The one exception that a user's input can cause."""

import difflib
import errno
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
