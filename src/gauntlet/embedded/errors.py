"""What goes wrong with the embedded stack."""

from gauntlet.domain.errors import Mendable


class StackError(Mendable):
    """The stack cannot be started, stopped or reached; the text says why and what to do."""
