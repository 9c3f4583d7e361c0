"""Statistics shared by the families of analysis."""
