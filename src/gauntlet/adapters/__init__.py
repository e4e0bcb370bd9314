"""The ports of `gauntlet.jobs.ports` on real services."""
