"""The canonical files: where they lie, what their lines say. No SQL, no printing, synchronous."""
