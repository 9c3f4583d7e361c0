"""Snapshots of widgets, one-file offline pages, and outputs that survive a reopened notebook."""
