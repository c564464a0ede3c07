"""Who is talking with whom now, told to everybody who listens."""
