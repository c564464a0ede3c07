"""The rules by which ``telephony/call_legs.py`` makes legs of CEL rows: pure, one file a step."""
