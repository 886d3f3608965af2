"""How many tokens the responses of a rollout used, by the hour and the model."""
