"""Text, token by token: the cached decoder, the choice of a token, and the record of every choice."""
