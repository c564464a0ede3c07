"""Three-way calls from inside: the room, its parties, what came of it."""
