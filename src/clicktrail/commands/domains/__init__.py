"""``clicktrail domain``: what is wrong with a tracking domain."""
