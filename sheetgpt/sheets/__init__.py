"""A run as a workbook: of values, and of live formulas."""
