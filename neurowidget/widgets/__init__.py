"""Widgets: a result in, an anywidget out (numpy, anywidget and traitlets only)."""
