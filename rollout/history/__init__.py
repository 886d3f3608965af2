"""The histories of threads: segments, fork points, transcripts, outlines and model context."""
