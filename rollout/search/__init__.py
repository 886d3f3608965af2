"""Messages to index, terms, normalisation, snippets and raw search."""
