"""Runs Clicktrail: starts the roles, a process each or all in one, and looks after them."""
