"""The command line; the extra ``cli`` installs what it needs. Each command has a file."""
