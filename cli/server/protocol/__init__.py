"""Messages, parameters and errors of the protocol."""
