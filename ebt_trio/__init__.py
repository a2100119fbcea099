"""Epidemic Broadcast Trees on Trio."""
