"""What was decided, sent and filled, in the order in which it happened: written before it is done, never changed."""
