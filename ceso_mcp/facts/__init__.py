"""Facts: one file a noun, each a reading command and its parser."""
