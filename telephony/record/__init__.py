"""What is on record: raw rows and legs written, found, checked, made again, deleted by rule."""
