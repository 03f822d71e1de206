"""The run in a browser: a server of its numbers, the page that shows them, and the page as one file."""
