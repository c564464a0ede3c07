"""The record in bulk: what is exported, the formats it comes in, and the jobs that do it."""
