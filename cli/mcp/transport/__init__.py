"""How clients reach the server: over stdin and stdout, or over HTTP."""
