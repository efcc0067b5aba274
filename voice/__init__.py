"""A phone call, from ring to hang-up."""
