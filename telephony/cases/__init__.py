"""Cases of citizens: what people write about them, and how they are found."""
