"""The service, its supervisor and its clients."""
