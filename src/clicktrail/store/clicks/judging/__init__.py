"""What clicks say of one another: found in the transaction that counts, and corrected there."""
