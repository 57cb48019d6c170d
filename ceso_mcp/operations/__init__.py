"""The operations, one file each, in folders by toolset. `ceso_mcp.catalogue` reads this folder."""
