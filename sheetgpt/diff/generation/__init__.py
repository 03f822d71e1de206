"""What a port generated, step by step, against what a model predicts: ids and logits of each new token.

`dumps` reads it, `steps` compares and judges it, `caches` knows what wrong caches lead to.
"""
