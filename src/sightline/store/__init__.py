"""Images, labels, verdicts and answers in one place: SQLite or PostgreSQL, with the images in a folder or on S3."""
