"""Formats of ESXi: what its files and programs say. Pure."""
