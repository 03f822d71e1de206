"""What a model is: its constants, its list of steps and its weights, and the sizes that follow from them."""
