"""The figures, each beside its peers in the same run; `make bench` prints them all."""
