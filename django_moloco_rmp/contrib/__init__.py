"""Companions of other packages, each an extra: nothing here is imported unless a project does."""
