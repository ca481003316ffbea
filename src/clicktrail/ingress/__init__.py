"""The way in: where emails come in, and what is done with them before they go on."""
