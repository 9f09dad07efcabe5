"""Training: an MTP layer fitted to a frozen model, on the user's own machine."""
