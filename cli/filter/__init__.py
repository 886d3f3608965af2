"""The filter language: what is typed into a search box, and what it asks for."""
