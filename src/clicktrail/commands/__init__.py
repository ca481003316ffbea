"""The commands of `clicktrail`, a module each group."""
