"""Analyses of errors and of what applications track: one file a question, each from rollups alone."""
