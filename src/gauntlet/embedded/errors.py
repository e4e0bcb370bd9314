"""What goes wrong with the embedded stack."""


class StackError(RuntimeError):
    """The stack cannot be started, stopped or reached; the text says why and what to do."""
