"""The page of an appointment, for its customer: `/r/{code}`."""
