"""The registry's aliases, spelled in one place."""

from enum import StrEnum


class Alias(StrEnum):
    """Names that point at a version; lower case, since MLflow's page lower-cases what a person saves."""

    PRODUCTION = "production"
    STAGING = "staging"
    PREVIOUS = "previous"
