"""The web app: an API over the operations and the store, and the pages that use it. Nothing here imports torch."""
