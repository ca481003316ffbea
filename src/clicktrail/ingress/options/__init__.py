"""What an email says to this service by headers of its own: tags, contact lists."""
