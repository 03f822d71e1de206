"""`python -m sheetgpt`."""

from sheetgpt.cli import main

if __name__ == "__main__":
    main()
