"""Tagging: what the declaration in tasks/tagging.py calls."""
