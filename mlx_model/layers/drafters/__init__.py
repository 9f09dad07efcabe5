"""Networks that draft: the MTP layer, and DFlash."""
