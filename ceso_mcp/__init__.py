"""ceso: manage one standalone ESXi host over SSH, showing every command before it runs."""

__version__ = "0.1.0"
