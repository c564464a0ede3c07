"""People with a password: who they are, their roles, and the sessions in which they are signed in."""
