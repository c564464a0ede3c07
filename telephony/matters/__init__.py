"""The matters that either side hands over, and where each of them goes."""
