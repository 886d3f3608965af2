"""Standard streams, sockets and WebSockets."""
