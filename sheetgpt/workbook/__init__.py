"""Excel workbooks: of values, of live formulas, of picks and of training; and reading any workbook."""
