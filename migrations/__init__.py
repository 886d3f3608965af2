"""Alembic scripts of the index, and in ``fleet`` those of a fleet, shipped inside the wheel. They
import nothing of ours."""

from importlib import resources

from alembic.config import Config


def alembic_config(package: str = __name__) -> Config:
    """An Alembic configuration that finds the scripts of a package wherever that is installed."""
    config = Config()
    # ConfigParser interpolates "%", and a path may hold one.
    location = str(resources.files(package)).replace("%", "%%")
    config.set_main_option("script_location", location)
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
