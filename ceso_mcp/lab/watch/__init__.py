"""What the host's kernel refuses: raw opens of extents in use, full datastores, alien programs.

Every command runs under a seccomp filter that hands the calls in question to a watcher process, which
answers them or lets this machine's kernel carry them out.
"""
