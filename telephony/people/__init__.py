"""People with a password: who they are, their roles, and where they are signed in."""
