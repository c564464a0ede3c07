"""Work orders to and from other platforms, signed, in order and once."""
