"""The live workbook: weights as values, every stage a formula."""
