"""What keeps a fleet in order: monthly partitions, retention, and how it is doing."""

from state.fleet.server.failures import check_driver

check_driver()  # which all that is in here imports
