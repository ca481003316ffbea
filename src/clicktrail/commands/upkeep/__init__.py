"""Commands on a data folder as a whole: look at it, repair it, move it."""
