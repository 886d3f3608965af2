"""What administrators do: make and upgrade the schema, add machines and readers."""
