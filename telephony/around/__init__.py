"""What else happens to a call: hold, park, pick up, record, monitor, rest."""
