"""Options, filters and locations of the command line."""
