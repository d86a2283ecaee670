#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl and hyphad speak the languages of po/: help, errors, tables, settings."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import unittest

from fake import HERE, HYPHACTL, NODE, ROOT, STRANGER, FakeCase, Terminal
from harness import DEADLINE, Node, main, wait_for

PO = HERE.parent.parent / "po"
LANGUAGES = ("de", "zh_CN")
# What the two say where English says something else.
USAGE = {"de": ["Aufruf: hyphactl", "trust KENNUNG NAME   Einen Knoten"], "zh_CN": ["用法：hyphactl", "trust 标识 名称      以某个名称"]}
PAIR = {"de": ["1 bis 120", "Nicht fragen"], "zh_CN": ["1 到 120", "不询问"]}
DAEMON = {"de": ["Auch auf ENDPUNKT lauschen", "Hält die Verbindungen"], "zh_CN": ["也在 端点 上监听", "维持本节点的链路"]}
NO_VERB = {"de": "es gibt keinen Befehl „stauts“", "zh_CN": "没有命令“stauts”"}
NO_PEER = {"de": "keine Gegenstelle heißt „nobody“", "zh_CN": "没有叫“nobody”"}
SUMMARY = {"de": "Wie dieser Knoten sich nennt", "zh_CN": "本节点如何自称"}
NO_ENDPOINT = {"de": "ist kein Endpunkt", "zh_CN": "不是端点"}
TITLES = {"de": ["NAME", "ZUSTAND", "KOSTEN", "VERBINDUNGEN"], "zh_CN": ["名称", "状态", "开销", "链路数"]}
YES = {"de": "ja", "zh_CN": "是"}
LINE = {"de": "Zeile 2: max-streams = uint32 0: nicht innerhalb von", "zh_CN": "第 2 行：max-streams = uint32 0：不在"}


def width(text):
    """Columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cells(line):
    """The columns in which each cell of a line begins and ends."""
    return [(width(line[:found.start()]), width(line[:found.end()])) for found in re.finditer(r"\S+(?: \S+)*", line)]


@unittest.skipUnless(shutil.which("msgfmt"), "there is no msgfmt to compile catalogues with (package gettext)")
class Languages(FakeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="hypha-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        for language in LANGUAGES:
            messages = pathlib.Path(cls.folder) / language / "LC_MESSAGES"
            messages.mkdir(parents=True)
            subprocess.run(["msgfmt", "--check", f"--output-file={messages / 'hypha.mo'}", str(PO / f"{language}.po")], check=True)

    def speak(self, place, language):
        place.environment.update(LANGUAGE=language, LC_ALL="C.UTF-8", HYPHA_LOCALE_DIR=self.folder)
        return place

    def assert_says(self, text, words):
        for word in words:
            self.assertIn(word, text)

    def assert_aligned(self, output):
        # GLib's catalogue has spaces that do not break between a number and its unit.
        rows = [cells(line) for line in output.replace("\u00a0", " ").splitlines()]
        self.assertGreater(len(rows), 2, output)
        self.assertEqual({len(row) for row in rows}, {len(rows[0])}, output)
        for column in zip(*rows):
            self.assertTrue(len({begin for begin, _ in column}) == 1 or len({end for _, end in column}) == 1, output)

    def test_help_of_both_programs_and_of_an_option(self):
        for language in LANGUAGES:
            place = self.speak(self.place(), language)
            self.assert_says(place.ctl("--help").stdout, USAGE[language])
            self.assert_says(place.ctl("pair", "--help").stdout, PAIR[language])
            self.assert_says(place.hyphad("--help").stdout, DAEMON[language])

    def test_an_error_of_each_program(self):
        for language in LANGUAGES:
            place = self.speak(self.place(), language)
            self.assert_fails(place.ctl("stauts"), 2, NO_VERB[language])
            config = place.private / "node.conf"
            config.write_text("[org/hypha/node]\nmax-streams=uint32 0\n")
            self.assert_fails(place.hyphad("--config", str(config), "--print-config"), 1, LINE[language])

    def test_what_a_node_answers_is_in_its_own_language(self):
        for language in LANGUAGES:
            place = self.speak(self.place(), language)
            node = Node(place, config="")
            self.assert_fails(node.ctl("explain", "nobody"), 1, NO_PEER[language])
            self.assert_fails(node.ctl("config", "set", "listen", "['nowhere']"), 1, NO_ENDPOINT[language])
            self.assertIn(SUMMARY[language], node.do("config", "list"))

    def test_names_numbers_and_states_of_json_are_the_same_in_every_language(self):
        fake = self.scene()
        english = fake.place.ctl("links", "--json").stdout
        for language in LANGUAGES:
            self.speak(fake.place, language)
            self.assertEqual(fake.place.ctl("links", "--json").stdout, english)

    def test_tables_have_titles_of_the_language_and_stay_aligned(self):
        fake = self.scene()
        for language in LANGUAGES:
            self.speak(fake.place, language)
            peers = fake.place.ctl("peers").stdout
            self.assert_says(peers.splitlines()[0], TITLES[language])
            self.assert_aligned(peers)
            links = fake.place.ctl("links").stdout
            self.assert_aligned(links)
            self.assertRegex(links, rf"vsock +up +{YES[language]} ")

    def test_wide_titles_count_for_what_fits_a_terminal(self):
        fake = self.scene()
        for language in LANGUAGES:
            self.speak(fake.place, language)
            for verb in ("peers", "links", "transports", "plugins"):
                for columns in (80, 120):
                    status, seen = Terminal(fake.place, "--color", "never", verb, columns=columns).finish()
                    self.assertEqual(status, 0, seen)
                    self.assertLessEqual(max(width(line) for line in seen.splitlines()), columns, seen)

    def test_yes_may_be_said_in_the_language_of_the_question(self):
        for language, answer in (("de", "j"), ("de", "ja"), ("de", "y"), ("zh_CN", "是")):
            fake = self.scene()
            self.speak(fake.place, language)
            terminal = Terminal(fake.place, "pair")
            wait_for(lambda: fake.calls(f"{NODE}.Pair"), "a call of Pair")
            fake.order("signal", ROOT, NODE, "PairingCode", f"('{STRANGER}', '123456')")
            terminal.wait_text(r"\[[jy]/N\] $")
            terminal.type(answer + "\n")
            wait_for(lambda: fake.calls(f"{NODE}.ConfirmPairing"), "a call of ConfirmPairing")
            self.assertEqual(fake.calls(f"{NODE}.ConfirmPairing"), [f"('{STRANGER}', true)"])
            terminal.type("\x03")
            terminal.finish()

    def test_the_folder_of_catalogues_counts_if_it_is_absolute(self):
        place = self.speak(self.place(), "de")
        messages = place.path / "own" / "de" / "LC_MESSAGES"
        messages.mkdir(parents=True)
        subprocess.run(["msgfmt", f"--output-file={messages / 'hypha.mo'}", "-"], check=True, text=True,
                       input='msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'
                             'msgid "a verb is missing"\nmsgstr "wo ist das Verb?"\n')
        for folder, status in ((str(place.path / "own"), True), ("own", False), ("", False)):
            place.environment["HYPHA_LOCALE_DIR"] = folder
            done = subprocess.run([HYPHACTL], env=place.environment, cwd=place.path, capture_output=True, text=True,
                                  timeout=DEADLINE)
            self.assertEqual(done.returncode, 2)
            self.assertEqual("wo ist das Verb?" in done.stderr, status, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
