"""The API: one file for each noun, each route one call of an operation or of a room of the store."""
