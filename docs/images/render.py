"""Pictures of a workbook's tabs, as LibreOffice shows them: `python render.py FILE.xlsx TAB RANGE PICTURE.png ...`.

Needs soffice, pdftoppm and pillow. The file is copied with a print area; nothing else of it changes.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

MARGIN = '<pageMargins left="0.2" right="0.2" top="0.2" bottom="0.2" header="0" footer="0"/>'
A3_ONE_PAGE = '<pageSetup paperSize="8" orientation="landscape" fitToWidth="1" fitToHeight="1"/>'
NOTHING = "$XFD$1048576"


def one_tab(source: Path, tab: str, area: str, target: Path) -> None:
    """A copy that prints only this range of this tab, on one page."""
    with ZipFile(source) as old, ZipFile(target, "w") as new:
        book = old.read("xl/workbook.xml").decode()
        tabs = re.findall(r'<sheet name="([^"]+)"', book)
        fixed = re.sub(r"([A-Z]+)([0-9]+)", r"$\1$\2", area)
        areas = [fixed if name == tab else NOTHING for name in tabs]  # an empty page is not printed
        name = "".join(
            f'<definedName name="_xlnm.Print_Area" localSheetId="{i}">{tabs[i]}!{printed}</definedName>'
            for i, printed in enumerate(areas)
        )
        book = re.sub(r"<definedName name=\"_xlnm.*?</definedName>", "", book)
        book = book.replace("<definedNames>", f"<definedNames>{name}", 1)
        for entry in old.namelist():
            text = old.read(entry)
            if entry == "xl/workbook.xml":
                text = book.encode()
            elif entry == f"xl/worksheets/sheet{tabs.index(tab) + 1}.xml":
                sheet = re.sub(r"<pageSetup[^>]*/>", "", text.decode())
                sheet = re.sub(r"<pageMargins[^>]*/>", MARGIN + A3_ONE_PAGE, sheet)
                sheet = re.sub(r"<sheetPr>(.*?)</sheetPr>", r'<sheetPr>\1<pageSetUpPr fitToPage="1"/></sheetPr>', sheet)
                text = sheet.encode()
            new.writestr(entry, text)


def render(source: Path, tab: str, area: str, picture: Path) -> None:
    from PIL import Image, ImageChops

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        one_tab(source, tab, area, here / "one.xlsx")
        command = ["soffice", f"-env:UserInstallation=file://{here}/profile", "--headless", "--convert-to", "pdf"]
        subprocess.run([*command, "--outdir", folder, here / "one.xlsx"], check=True, capture_output=True)
        subprocess.run(["pdftoppm", "-r", "110", "-png", here / "one.pdf", here / "page"], check=True)
        page = min(here.glob("page*.png"))
        image = Image.open(page).convert("RGB")
        box = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
        left, top, right, bottom = box
        image.crop((max(0, left - 12), max(0, top - 12), right + 12, bottom + 12)).save(picture, optimize=True)


if __name__ == "__main__":
    file, *rest = sys.argv[1:]
    for tab, area, picture in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        render(Path(file), tab, area, Path(picture))
