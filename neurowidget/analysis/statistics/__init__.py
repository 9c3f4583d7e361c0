"""Computations shared by the families of analysis: intervals, gradients at sites, work in smaller and smaller pieces."""
