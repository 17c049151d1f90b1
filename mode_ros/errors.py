"""The one exception that a user's input can cause."""


class UserError(Exception):
    """Something the user gave cannot be used.

    The message is a whole sentence: it names the value, says why it cannot be used and what would work. Commands
    print it without a traceback; nodes log it and refuse to configure.
    """
