"""`ceso` and `python -m ceso_mcp`: the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its status."""
    from ceso_mcp.surfaces.cli.root import ceso

    ceso(prog_name="ceso")


if __name__ == "__main__":
    main()
