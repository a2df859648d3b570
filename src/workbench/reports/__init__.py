"""What people read away from the notebook: doubts in plain words, pages to send."""
