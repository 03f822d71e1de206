"""Lenses: what the numbers of a run mean, as tables.

Each lens reads the list of steps and a run's stages; none knows a model by itself.

>>> from sheetgpt import lens, load_model
>>> lens.logit_lens(load_model().run("Mike is quick. He moves")).best.iloc[-1, -1]
' quickly'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sheetgpt.lens.ablation import Ablation as Ablation
    from sheetgpt.lens.ablation import ablate as ablate
    from sheetgpt.lens.addresses import Region as Region
    from sheetgpt.lens.attribution import Attribution as Attribution
    from sheetgpt.lens.attribution import attribute as attribute
    from sheetgpt.lens.cells import dependents as dependents
    from sheetgpt.lens.cells import precedents as precedents
    from sheetgpt.lens.explained import Explanation as Explanation
    from sheetgpt.lens.explained import Term as Term
    from sheetgpt.lens.explanation import explain as explain
    from sheetgpt.lens.gathered import Gathered as Gathered
    from sheetgpt.lens.gathered import LeftOut as LeftOut
    from sheetgpt.lens.gathered import gather as gather
    from sheetgpt.lens.logits import LogitLens as LogitLens
    from sheetgpt.lens.logits import logit_lens as logit_lens
    from sheetgpt.lens.means import Means as Means
    from sheetgpt.lens.means import corpus_means as corpus_means
    from sheetgpt.lens.metrics import Metric as Metric
    from sheetgpt.lens.patching import Patching as Patching
    from sheetgpt.lens.patching import patch as patch
    from sheetgpt.lens.plot import write_plot as write_plot
    from sheetgpt.lens.tables import Look as Look
    from sheetgpt.lens.tables import Report as Report
    from sheetgpt.lens.tables import Table as Table
    from sheetgpt.lens.workbook import write_workbook as write_workbook

_HOMES = {  # imported when they are asked for
    "Ablation": "ablation",
    "Attribution": "attribution",
    "Explanation": "explained",
    "Gathered": "gathered",
    "LeftOut": "gathered",
    "LogitLens": "logits",
    "Look": "tables",
    "Means": "means",
    "Metric": "metrics",
    "Patching": "patching",
    "Region": "addresses",
    "Report": "tables",
    "Table": "tables",
    "Term": "explained",
    "ablate": "ablation",
    "attribute": "attribution",
    "corpus_means": "means",
    "dependents": "cells",
    "explain": "explanation",
    "gather": "gathered",
    "logit_lens": "logits",
    "patch": "patching",
    "precedents": "cells",
    "write_plot": "plot",
    "write_workbook": "workbook",
}
__all__ = [
    "Ablation",
    "Attribution",
    "Explanation",
    "Gathered",
    "LeftOut",
    "LogitLens",
    "Look",
    "Means",
    "Metric",
    "Patching",
    "Region",
    "Report",
    "Table",
    "Term",
    "ablate",
    "attribute",
    "corpus_means",
    "dependents",
    "explain",
    "gather",
    "logit_lens",
    "patch",
    "precedents",
    "write_plot",
    "write_workbook",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"sheetgpt.lens.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'sheetgpt.lens' has no attribute {name!r}")
