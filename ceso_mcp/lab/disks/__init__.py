"""Virtual disks as files: descriptors, flat extents, seSparse deltas, and vmkfstools on top of them.

Standard library only and relative imports only: the folder is also mounted into the make-believe
host, where `vmkfstools` runs from it.
"""
