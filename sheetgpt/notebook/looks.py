"""The colours and the style sheet of what is shown in Jupyter, in light and in dark.

Every rule stands under one class, so that nothing else of the page changes. Which colour a cell has, `cells` says:
how strongly in `--s`, of what in a class; dark themes then need no other HTML.
"""

from __future__ import annotations

from sheetgpt.workbook import style

ROOT = "sheetgpt"  # the class of everything that is shown
LIGHT = {
    "bg": style.BLANK_FILL,
    "panel": style.HEAD_FILL,
    "line": style.LINE,
    "ink": style.INK,
    "mute": "#5B6876",  # as the page of `explore`: the workbook's is too pale on white for small print
    "accent": "#2A737A",
    "below": style.LIGHT_BELOW,
    "above": style.LIGHT_ABOVE,
    "share": style.SHARE,
    "mask": style.MASK,
    "wrong": "#9B1C1C",
    "wrong-bg": "#F8C9C0",
}
DARK = {
    "bg": "#12181D",
    "panel": "#1A2229",
    "line": "#35414B",
    "ink": "#E3E8EC",
    "mute": "#9AA7B3",
    "accent": "#6CC3C6",
    "below": "#276A70",
    "above": "#835720",
    "share": "#276A70",
    "mask": "#232C34",
    "wrong": "#FF9B8E",
    "wrong-bg": "#4A201C",
}
DARK_THEMES = (  # of JupyterLab, VS Code, Sphinx's and Colab's pages
    '[data-jp-theme-light="false"]',
    ".vscode-dark",
    '[data-theme="dark"]',
    "[theme=dark]",
)
BY_SYSTEM = '[data-theme="auto"]'  # a page that follows the system's wish

# subtle: the class stands twice because JupyterLab's and Sphinx's rules for tables would win otherwise
R = f".{ROOT}.{ROOT}"
RULES = f"""
{R}{{background:var(--bg);color:var(--ink);font:13px/1.45 system-ui,sans-serif;padding:8px 10px;border-radius:4px;
max-width:100%;box-sizing:border-box;overflow-wrap:anywhere}}
{R} p{{margin:0 0 6px;font-size:13px}}
{R} b{{color:var(--accent);font-weight:600}}
{R} small,{R} em{{color:var(--mute);font-size:12px;opacity:1}}
{R} .scroll{{overflow-x:auto;max-width:100%}}
{R} table{{border-collapse:separate;border-spacing:0;margin:0;border:0;width:auto;font-size:12px;color:var(--ink);
font-variant-numeric:tabular-nums lining-nums;display:table}}
{R} tr{{background:var(--bg)}}
{R} td,{R} th{{padding:2px 4px;border:0;text-align:right;vertical-align:middle;white-space:pre;
line-height:1.4;background:var(--bg);color:var(--ink);font-weight:400;max-width:15em;overflow:hidden;
text-overflow:ellipsis}}
{R} th{{background:var(--panel);font-size:11px}}
{R} th i{{color:var(--mute);font-style:normal}}
{R} thead th i{{display:block;text-align:right}}
{R} thead th{{vertical-align:bottom;border-bottom:1px solid var(--line)}}
{R} tbody th,{R} thead th:first-child{{text-align:left;position:sticky;left:0;z-index:1}}
{R} td.t{{text-align:left}}
{R} td.b{{background:color-mix(in srgb,var(--below) var(--s),var(--bg))}}
{R} td.a{{background:color-mix(in srgb,var(--above) var(--s),var(--bg))}}
{R} td.s{{background:color-mix(in srgb,var(--share) var(--s),var(--bg))}}
{R} td.z{{color:var(--mute)}}
{R} td.m{{background:var(--mask);color:var(--mute)}}
{R} td.w{{background:var(--wrong-bg);color:var(--wrong)}}
{R} td.bar{{background:var(--bg) linear-gradient(var(--share),var(--share)) no-repeat 0 50%/var(--s) 11px;
min-width:150px;border-left:1px solid var(--line);padding:0}}
{R} .tabs{{display:flex;flex-wrap:wrap;position:relative}}
{R} .tabs input{{position:absolute;opacity:0;width:1px;height:1px;margin:0}}
{R} .tabs label{{padding:1px 9px;margin:0 4px 6px 0;border:1px solid var(--line);border-radius:3px;
color:var(--mute);font-size:12px;cursor:pointer;background:var(--bg);display:inline-block}}
{R} .tabs .tab{{order:1;width:100%;display:none}}
{R} .tabs input:checked+label{{color:var(--accent);border-color:var(--accent);font-weight:600}}
{R} .tabs input:checked+label+.tab{{display:block}}
{R} .tabs input:focus-visible+label{{outline:2px solid var(--accent);outline-offset:1px}}
{R} .tokens span{{display:inline-block;border:1px solid var(--line);border-radius:3px;padding:1px 6px;
margin:0 3px 3px 0;white-space:pre;max-width:20em;overflow:hidden;text-overflow:ellipsis;vertical-align:bottom}}
{R} .tokens small{{display:block;font-size:10.5px}}
{R} .tokens .answer{{color:var(--accent);font-weight:600;border-color:var(--accent)}}
{R} details{{margin:0;padding:0;border:0;background:none}}
{R} summary{{cursor:pointer;padding:2px 0;color:var(--ink);font-weight:400;background:none}}
{R} img{{width:104px;height:11px;image-rendering:pixelated;background:var(--bg);border:1px solid var(--line);
display:inline-block;vertical-align:middle;margin:0 6px;max-width:none;border-radius:0}}
"""


def variables(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())


def sheet() -> str:
    """The style sheet, as it stands in everything that is shown."""
    dark = ",".join(f"{theme} .{ROOT}" for theme in DARK_THEMES)
    by_system = f"@media (prefers-color-scheme:dark){{{BY_SYSTEM} .{ROOT}{{{variables(DARK)}}}}}"
    rules = RULES.replace("\n", "")
    return f"<style>.{ROOT}{{{variables(LIGHT)}}}{dark}{{{variables(DARK)}}}{by_system}{rules}</style>"


def whole(*parts: str) -> str:
    """Parts as one thing to show."""
    return f'<div class="{ROOT}">{sheet()}{"".join(parts)}</div>'
