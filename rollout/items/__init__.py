"""Lines to items of the protocol, in both history modes."""
