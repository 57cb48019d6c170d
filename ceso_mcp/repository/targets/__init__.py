"""Places that can hold a repository, one file each; `repository.target` says what they promise."""
