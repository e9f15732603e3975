"""Data from files, packages and Hugging Face datasets."""
