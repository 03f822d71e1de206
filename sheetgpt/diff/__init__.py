"""Two runs side by side: their sides, the comparison, the diagnosis, and finding stages in foreign workbooks."""
