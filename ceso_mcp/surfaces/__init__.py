"""Surfaces: the ways in. They translate and decide nothing."""
