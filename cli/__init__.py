"""The command: the only room that prints, exits and reads the environment."""
