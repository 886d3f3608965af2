"""What a person sees: text, progress, the pager and findings."""
