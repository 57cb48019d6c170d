"""Backups as knowledge: manifest, block map, digests, packs, the wire, the programs on the host."""
