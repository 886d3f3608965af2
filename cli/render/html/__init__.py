"""HTML: pages without scripts, which load nothing."""
