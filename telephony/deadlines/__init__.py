"""What must be done by when, who is reminded, and to whom it goes when it is late."""
