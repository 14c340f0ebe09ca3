"""The pages: one shell for every address, and ES modules that talk to the API as any program does."""
