"""Image files and bytes: what they hold, and their pixels, whole or not at all."""
