"""A library for workbooks, made and read: it knows cells, not models; a subject's workbook stands with its subject."""
