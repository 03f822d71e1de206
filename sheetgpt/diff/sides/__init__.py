"""The sides of a comparison: a run, a CSV dump, arrays, a workbook."""
