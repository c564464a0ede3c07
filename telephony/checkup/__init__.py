"""The checks that ``telephony/doctor.py`` makes, one file a subject."""
