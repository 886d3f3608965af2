"""Where rollouts are: names, scan, stamps, locks, moves and atomic writes."""
