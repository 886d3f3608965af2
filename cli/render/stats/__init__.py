"""Statistics of token use: as a table, as JSON, and as a page with charts."""
