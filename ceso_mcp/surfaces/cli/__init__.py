"""The command line: nouns, then verbs, over the catalogue. `root.ceso` is the command itself."""
