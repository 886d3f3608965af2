"""What administrators do: make and upgrade the schema, add machines and readers."""

from state.fleet.server.failures import check_driver

check_driver()  # which all that is in here imports
