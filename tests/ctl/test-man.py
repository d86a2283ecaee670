#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual: it formats without a warning, and tells of every verb, option, JSON key and setting, and of none that is not there."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

from harness import DEADLINE, HYPHACTL, HYPHAD, Case, main

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
MAN = TREE / "data" / "man"
PAGES = sorted(path for path in MAN.iterdir() if re.fullmatch(r".*\.[1-9]", path.name))
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent",
               "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, env=ENVIRONMENT)


def source(name):
    return (MAN / name).read_text().splitlines()


def options_told(lines):
    """Of the items of lists: the long options, and what they take."""
    return set(re.findall(r"Fl -([\w-]+)", "\n".join(line for line in lines if line.startswith(".It Fl"))))


def options_taken(*words):
    return set(re.findall(r"--([\w-]+)", "\n".join(line for line in run(*words, "--help").stdout.splitlines()
                                                     if line.startswith("  -"))))


def verbs_told():
    """Verb to the lines that tell of it."""
    verbs, at, depth = {}, None, 0
    for line in source("hyphactl.1"):
        depth += line.startswith(".Bl")
        depth -= line.startswith(".El")
        found = re.match(r"\.It Cm ([\w-]+)(.*)", line)
        if found and depth == 1:
            at = verbs.setdefault(found[1], [found[2]])
        elif line.startswith((".Sh", ".Ss")):
            at = None
        elif at is not None:
            at.append(line)
    return verbs


def verbs_taken():
    return re.findall(r"^  ([\w-]+)", run(HYPHACTL, "--help").stdout, re.MULTILINE)


class Manual(Case):
    maxDiff = None

    def test_pages_format_without_a_warning(self):
        if not (shutil.which("man") and shutil.which("groff")):
            self.skipTest("there is no man or no groff (packages man-db, groff)")
        for page in PAGES:
            done = subprocess.run(["man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)], capture_output=True,
                                  text=True, timeout=DEADLINE, env=ENVIRONMENT)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page.name)

    def test_mandb_finds_name_and_summary(self):
        if not shutil.which("lexgrog"):
            self.skipTest("there is no lexgrog (package man-db)")
        for page in PAGES:
            done = run("lexgrog", str(page))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(page.stem + " - ", done.stdout)

    def test_verbs(self):
        self.assertEqual(sorted(verbs_told()), sorted(verbs_taken()))

    def test_words_and_options_of_every_verb(self):
        common = options_told(source("hyphactl.1")[:80])
        self.assertEqual(common - {"version"}, options_taken(HYPHACTL, "id"))
        for verb, lines in verbs_told().items():
            usage = re.search(rf"hyphactl \[OPTION…\] {verb}(.*)", run(HYPHACTL, verb, "--help").stdout)[1]
            told = re.sub(r"Oo Fl.*? Oc|Op Fl.*|Fl .*", "", lines[0])
            self.assertEqual(re.findall(r"[A-Z]{2,}", told), re.findall(r"[A-Z]{2,}", usage), verb)
            self.assertEqual(options_told(lines), options_taken(HYPHACTL, verb) - common, verb)
            self.assertEqual(set(re.findall(r"Fl -([\w-]+)", lines[0])), options_told(lines), verb)

    def test_json_keys_of_every_verb(self):
        for path in sorted((HERE / "golden").glob("*.json")):
            try:
                shown = json.loads(path.read_text())
            except ValueError:
                continue
            shown = shown[0] if isinstance(shown, list) and shown else shown
            verb = path.stem.split("-of-")[0]
            told = set(re.findall(r"Ql ([\w-]+)", "\n".join(verbs_told()[verb])))
            self.assertLessEqual(set(shown), told, verb)

    def test_options_of_the_daemon_and_the_agent(self):
        self.assertEqual(options_told(source("hyphad.8")), options_taken(HYPHAD))
        self.assertEqual(options_told(source("hypha-agent.8")), options_taken(os.environ["HYPHA_AGENT"]))

    def test_settings(self):
        schema = xml.etree.ElementTree.parse(TREE / "schemas" / "org.hypha.node.gschema.xml")
        wanted = {}
        for key in schema.iter("key"):
            about = f"Type {key.get('type')}, default {key.find('default').text}"
            limits = key.find("range")
            if limits is not None:
                about += f", from {limits.get('min')} to {limits.get('max')}"
            wanted[key.get("name")] = about + "."
        text = "\n".join(source("hypha-node.conf.5")).replace(r"\(aq", "'").replace(r"\&", "")
        told = {name: re.search(r"^Type .*", rest, re.MULTILINE)[0]
                for name, rest in re.findall(r"^\.It Ic ([\w-]+)\n((?:(?!\.It|\.El).*\n)*)", text, re.MULTILINE)}
        self.assertEqual(told, wanted)


if __name__ == "__main__":
    sys.exit(main())
