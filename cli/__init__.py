"""The command: the only room that prints, exits and reads the environment."""

__version__ = "0.1.0"
