"""Files of any kind, written whole and read with care: numbers, texts, copies, folders."""
