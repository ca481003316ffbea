"""The redirect: opens the token of a tracking link, logs the click, sends the person on."""
