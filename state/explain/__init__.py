"""Why a thread is listed or not."""
