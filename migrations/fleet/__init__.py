"""Alembic scripts of a fleet, shipped inside the wheel. They import nothing of ours."""

from importlib import resources

from alembic.config import Config

SCHEMA = "threadkeep"
VERSION_TABLE = "fleet_version"


def alembic_config() -> Config:
    """An Alembic configuration that finds its scripts wherever this package is installed."""
    config = Config()
    # ConfigParser interpolates "%", and a path may hold one.
    location = str(resources.files(__name__)).replace("%", "%%")
    config.set_main_option("script_location", location)
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
