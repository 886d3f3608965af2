"""What helps a user to type the right thing: help, pages, completion, and what wrong usage says."""
