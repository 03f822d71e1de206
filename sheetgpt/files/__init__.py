"""Files: written whole or not at all, numbers as decimals, binary copies, texts."""
