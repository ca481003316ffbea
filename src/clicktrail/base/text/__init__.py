"""Texts of people's languages."""
