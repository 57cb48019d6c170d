"""A make-believe ESXi host on loopback, for trying things out and for tests.

`Lab(directory).start()` gives the address of an SSH server behind which a real busybox ash, real files
and imitations of vim-cmd, esxcli and vmkfstools behave as a standalone host does. docs/lab.md says what
is faithful, what is assumed and what is missing.
"""

from ceso_mcp.lab.handle import Lab
from ceso_mcp.lab.records import Fault, LabAddress, LabStatus, LogEntry

__all__ = ["Fault", "Lab", "LabAddress", "LabStatus", "LogEntry"]
