# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the tree against po/: every file with messages is in POTFILES.in, every catalogue of LINGUAS has every message.

A message that is new or has changed makes a catalogue incomplete: `python3 tests/translations.py --update` brings the catalogues
up to date with what there is to translate.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PO = ROOT / "po"
# What in an XML file is for people.
RULES = ":".join(str(ROOT / "data" / folder) for folder in ("metainfo", "polkit"))
MARK = re.compile(r"(?<![A-Za-z0-9_])(?:_|N_|C_|NC_|Q_|ngettext|g_dngettext) ?\(\s*\"")
# As the preset of po/meson.build has it.
KEYWORDS = ["--keyword=_", "--keyword=N_", "--keyword=C_:1c,2", "--keyword=NC_:1c,2", "--keyword=g_dcgettext:2",
            "--keyword=g_dngettext:2,3", "--keyword=g_dpgettext2:2c,3", "--flag=N_:1:pass-c-format", "--flag=C_:2:pass-c-format",
            "--flag=NC_:2:pass-c-format", "--flag=g_dngettext:2:pass-c-format", "--flag=g_strdup_printf:1:c-format",
            "--flag=g_error_new:3:c-format", "--flag=g_set_error:4:c-format"]


def lines(name):
    return [line for line in (PO / name).read_text().splitlines() if line and not line.startswith("#")]


def has_messages(path):
    if path.suffix in (".c", ".h"):
        return MARK.search(path.read_text())
    return path.name.endswith((".gschema.xml", ".policy.in", ".metainfo.xml.in"))


def sources():
    found = []
    for top in ("core", "plugins", "schemas", "data"):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and not path.name.startswith("test-") and has_messages(path):
                found.append(str(path.relative_to(ROOT)))
    return sorted(found)


def extract(template):
    subprocess.run(["xgettext", "--package-name=hypha", "--copyright-holder=The authors of Hypha", "--from-code=UTF-8",
                    "--add-comments=Translators", "--width=120", "--sort-by-file", "--no-location", *KEYWORDS,
                    f"--files-from={PO / 'POTFILES.in'}", f"--directory={ROOT}", f"--output={template}"],
                   check=True, env=dict(os.environ, GETTEXTDATADIRS=RULES))
    # The time of it would be in every catalogue, for branches to conflict about.
    template.write_text(re.sub(r'"POT-Creation-Date: .*\n', "", template.read_text()))


def statistics(catalogue):
    """Whether msgfmt takes it, and what it says."""
    done = subprocess.run(["msgfmt", "--check", "--statistics", "--output-file=/dev/null", str(catalogue)],
                          capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    return done.returncode, done.stderr.strip()


def main():
    update = sys.argv[1:] == ["--update"]
    problems = []
    listed = lines("POTFILES.in")
    wanted = sources()
    if listed != wanted:
        for path in sorted(set(wanted) - set(listed)):
            problems.append(f"po/POTFILES.in lacks {path}")
        for path in sorted(set(listed) - set(wanted)):
            problems.append(f"po/POTFILES.in names {path}, which has no messages")
        if set(wanted) == set(listed):
            problems.append("po/POTFILES.in is not sorted, or has a line twice")
    if update and problems:
        (PO / "POTFILES.in").write_text("# SPDX-License-Identifier: LGPL-2.1-or-later\n" + "\n".join(wanted) + "\n")
        problems = []
    with tempfile.TemporaryDirectory() as folder:
        template = pathlib.Path(folder) / "hypha.pot"
        extract(template)
        for language in lines("LINGUAS"):
            catalogue = PO / f"{language}.po"
            merged = pathlib.Path(folder) / f"{language}.po"
            subprocess.run(["msgmerge", "--quiet", "--no-fuzzy-matching", "--no-location", "--width=120", f"--output-file={merged}",
                            str(catalogue), str(template)], check=True)
            if update:
                # A translation without a message is of no use.
                subprocess.run(["msgattrib", "--no-obsolete", "--width=120", f"--output-file={catalogue}", str(merged)], check=True)
            status, said = statistics(merged)
            if status != 0 or "untranslated" in said or "fuzzy" in said:
                problems.append(f"po/{language}.po: {said}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


sys.exit(main())
