"""Dialplans on a PBX that serves people: check, compare, load, roll back."""
