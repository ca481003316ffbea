"""What commands have in common: flags, tables, how they end."""
