"""What finds emails, and who clicked in them."""
