"""Training steps as a workbook."""
