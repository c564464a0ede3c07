"""The shapes of requests and answers, one file a subject; what all share is in ``base``."""
