"""Steps of training as a workbook, in bands or on tabs."""
