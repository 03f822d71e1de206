"""The folder of CSVs that holds a model: reading, writing, checking."""
