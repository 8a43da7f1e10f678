"""Cards and notes that ship with the package: one file per kind of checkpoint."""
