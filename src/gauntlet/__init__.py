"""Gauntlet: an MLOps stack in which a model has to earn Production."""
