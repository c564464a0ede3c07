"""The history of the tables, run by ``telephony.database.migrate``."""
