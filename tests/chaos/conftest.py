"""Chaos stands on the same house as the tests of the main job."""

from e2e.conftest import house, shared_lab  # noqa: F401
