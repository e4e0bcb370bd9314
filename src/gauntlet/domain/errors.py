"""Errors that tell a person what to do: the rule, what was found, and the remedy."""


class Mendable(Exception):
    """An error whose text is all that a person needs; a program shows it without a traceback."""


class Final(Mendable):
    """A mendable error that trying again does not mend: a task that raises it fails at once."""
