"""Renders results for people and programs; judges nothing."""
