"""The derived index beside the rollout files. Async; knows rollout and migrations."""
