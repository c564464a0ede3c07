"""The PBX's call event log: rows, files, order, and the disk they are written to."""
