r"""A picture of parts of a workbook's tabs, as LibreOffice shows them, under each other.

    python docs/images/render.py FILE.xlsx PICTURE.png TAB RANGE [TAB RANGE ...]

docs/images/workbook.png and live-workbook.png, of `run "Mike is quick. He moves" --dump-xlsx` and the same with
`--formulas`:

    python docs/images/render.py exports/mike-is-quick-he-moves.xlsx docs/images/workbook.png \
        index A1:BQ44 block_1 A1:Z6 block_1 A86:Z96
    python docs/images/render.py exports/live.xlsx docs/images/live-workbook.png \
        index A1:BQ48 words A1:X15 block_1 A133:Z146

Needs soffice, pdftoppm and pillow. The file is copied with a print area; nothing else of it changes.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

MARGIN = '<pageMargins left="0.2" right="0.2" top="0.2" bottom="0.2" header="0" footer="0"/>'
A3_ONE_PAGE = '<pageSetup paperSize="8" orientation="landscape" fitToWidth="1" fitToHeight="1"/>'
NOTHING = "$XFD$1048576"
BORDER, GAP = 12, 20  # pixels
RESOLUTION = "110"


def one_tab(source: Path, tab: str, area: str, target: Path) -> None:
    """A copy that prints only this range of this tab, on one page."""
    with ZipFile(source) as old, ZipFile(target, "w") as new:
        book = old.read("xl/workbook.xml").decode()
        tabs = re.findall(r'<sheet name="([^"]+)"', book)
        fixed = re.sub(r"([A-Z]+)([0-9]+)", r"$\1$\2", area)
        areas = [fixed if name == tab else NOTHING for name in tabs]  # an empty page is not printed
        names = "".join(
            f'<definedName name="_xlnm.Print_Area" localSheetId="{i}">{tabs[i]}!{printed}</definedName>'
            for i, printed in enumerate(areas)
        )
        book = re.sub(r'<definedName name="_xlnm.Print_[^>]*>[^<]*</definedName>', "", book)
        book = book.replace("<definedNames>", f"<definedNames>{names}", 1)
        shown = f"xl/worksheets/sheet{tabs.index(tab) + 1}.xml"
        for entry in old.namelist():
            text = old.read(entry)
            if entry == "xl/workbook.xml":
                text = book.encode()
            elif entry == shown:
                sheet = re.sub(r"<pageSetup[^>]*/>|<headerFooter>.*?</headerFooter>", "", text.decode())
                sheet = re.sub(r"<pageMargins[^>]*/>", MARGIN + A3_ONE_PAGE, sheet)
                sheet = re.sub(r"<pageSetUpPr[^>]*/>", "", sheet)
                sheet = re.sub(r"<sheetPr>(.*?)</sheetPr>", r'<sheetPr>\1<pageSetUpPr fitToPage="1"/></sheetPr>', sheet)
                text = sheet.encode()
            new.writestr(entry, text)


def part(source: Path, tab: str, area: str):
    """One range as a picture, without the page around it."""
    from PIL import Image, ImageChops

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        one_tab(source, tab, area, here / "one.xlsx")
        office = shutil.which("soffice") or "libreoffice"
        command = [office, f"-env:UserInstallation=file://{here}/profile", "--headless", "--convert-to", "pdf"]
        subprocess.run([*command, "--outdir", folder, here / "one.xlsx"], check=True, capture_output=True)
        subprocess.run(["pdftoppm", "-r", RESOLUTION, "-png", here / "one.pdf", here / "page"], check=True)
        page = Image.open(min(here.glob("page*.png"))).convert("RGB")
        return page.crop(ImageChops.difference(page, Image.new("RGB", page.size, "white")).getbbox())


def stacked(parts: list):
    """Pictures under each other, all as wide as the widest."""
    from PIL import Image

    width = max(one.width for one in parts)
    scaled = [one.resize((width, round(one.height * width / one.width))) for one in parts]
    height = sum(one.height for one in scaled) + GAP * (len(scaled) - 1)
    whole = Image.new("RGB", (width + 2 * BORDER, height + 2 * BORDER), "white")
    top = BORDER
    for one in scaled:
        whole.paste(one, (BORDER, top))
        top += one.height + GAP
    return whole


if __name__ == "__main__":
    file, picture, *rest = sys.argv[1:]
    found = [part(Path(file), tab, area) for tab, area in zip(rest[::2], rest[1::2], strict=True)]
    stacked(found).save(picture, optimize=True)
