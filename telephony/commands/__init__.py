"""The command line, one file a group of commands; ``telephony/cli.py`` puts them together."""
