"""The line's working days and hours: kept, imported, and pushed to the PBX."""
