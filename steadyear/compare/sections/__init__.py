"""The sections of a report, one file each; every file here is imported and enters its section itself."""
