"""Looking into a disk from outside: partitions, LVM2, ext4, read only and without any I/O.

Every reader is a generator that asks for ranges of bytes and is sent their contents, so whoever
drives it decides how they are fetched. What is not known raises `Unknown` with the reason.
"""
