"""One module a command: load, call one function, print."""
