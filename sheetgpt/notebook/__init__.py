"""How a run and its stages show themselves in Jupyter: HTML that needs no script."""
