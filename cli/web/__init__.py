"""The reader in a browser: pages of threads, rendered here, without a build step."""
