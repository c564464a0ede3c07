"""What ``hotline demo`` and ``hotline run`` play: the stage and the scenes."""
