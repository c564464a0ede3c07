"""Messages after hours and missed calls: taken, kept, heard, called back."""
