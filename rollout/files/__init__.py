"""Where rollouts lie: names, scan, stamps, locks, moves and atomic writes."""
