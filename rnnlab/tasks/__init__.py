"""What recurrent networks are fed and taught."""
