"""The app-server protocol for stored threads (state-and-service §6)."""
