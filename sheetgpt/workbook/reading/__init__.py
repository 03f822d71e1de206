"""Reading workbooks of any origin: tabs, defined names, how far a tab reaches, maps."""
