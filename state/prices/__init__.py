"""What tokens cost: the rates of models, from a library and from a user's own list."""
