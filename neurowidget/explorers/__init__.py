"""Explorers: a model, its analysis and its views, live and linked."""
