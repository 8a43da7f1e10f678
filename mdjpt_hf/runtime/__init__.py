"""Around the work: imports and registration, progress and notes, who writes a folder, what is said of the machine."""
