"""The app-server protocol for stored threads (docs/protocol.md)."""
