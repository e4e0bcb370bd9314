"""The stack in containers, seen from the host: its addresses, and `docker compose` behind a few functions."""
