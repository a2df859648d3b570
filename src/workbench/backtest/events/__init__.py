"""Event studies: abnormal returns around events, with intervals that know that events come in crowds."""
