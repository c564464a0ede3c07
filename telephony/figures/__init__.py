"""Figures for supervisors: what is counted, kept up to date by the day, and read by period."""
