"""What is told beside clicks: opens and unsubscribes."""
