"""Backup and restore: the database, the sound of messages, kept dialplans, in one file."""
