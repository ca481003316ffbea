"""Makes emails: from the parts that an API call gives, and from templates."""
