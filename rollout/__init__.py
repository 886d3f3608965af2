"""The canonical files: where they are, what their lines say. No SQL, no printing, synchronous."""
