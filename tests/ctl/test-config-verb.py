#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hyphactl config: the settings of a running node, for people and for programs."""

import json
import sys

from harness import Case, main


class Config(Case):
    def setUp(self):
        self.node_ = self.node(config="# kept\nswitch-margin=7\n")

    def tearDown(self):
        self.node_.stop()

    def ctl(self, *arguments):
        return self.node_.ctl("config", *arguments)

    def do(self, *arguments):
        return self.node_.do("config", *arguments)

    def test_list_for_people(self):
        title, *rows = self.do("list").splitlines()
        self.assertEqual(title.split(maxsplit=3), ["KEY", "VALUE", "DEFAULT", "WHAT IT IS"])
        [margin] = [row for row in rows if row.startswith("switch-margin ")]
        self.assertEqual(margin.split(maxsplit=3), ["switch-margin", "7", "1", "By how much another link has to be cheaper"])
        keys = [row.split()[0] for row in rows]
        self.assertEqual(keys, sorted(keys))

    def test_list_for_programs(self):
        entries = {entry["key"]: entry for entry in self.node_.ask("config", "list")}
        self.assertEqual(entries["switch-margin"], {
            "key": "switch-margin", "summary": "By how much another link has to be cheaper", "type": "u", "value": 7,
            "default": 1, "writable": True})
        self.assertEqual(entries["listen"]["value"], [])
        self.assertEqual(entries["trusted-peers"]["value"], {})

    def test_what_get_prints_set_takes(self):
        for key, value in (("name", "'web1'"), ("listen", "['tcp://127.0.0.1:0']"), ("link-costs", "{'tcp': 20}"),
                           ("services", "{'ssh': {'target': <'tcp://127.0.0.1:22'>, 'peers': <['laptop']>}}"),
                           ("peers", "[]"), ("ping-interval", "250")):
            self.do("set", key, value)
            self.assertEqual(self.do("get", key), value + "\n")
            self.do("set", key, self.do("get", key).strip())
            self.assertEqual(self.do("get", key), value + "\n")
        self.assertEqual(json.loads(self.do("get", "link-costs", "--json")), {"tcp": 20})
        self.assertIn("# kept\n", self.node_.config.read_text())

    def test_bare_word_is_a_string(self):
        self.do("set", "name", "web1")
        self.assertEqual(self.do("get", "name"), "'web1'\n")
        self.assertEqual(self.node_.ask("status")["name"], "web1")
        # Also one that would be something else.
        self.do("set", "name", "5")
        self.assertEqual(self.do("get", "name"), "'5'\n")
        for empty in ("''", ""):
            self.do("set", "name", "web1")
            self.do("set", "name", empty)
            self.assertEqual(self.do("get", "name"), "''\n")

    def test_empty_value_is_none_where_a_word_is_not_wanted(self):
        self.assert_fails(self.ctl("set", "switch-margin", ""), 1, "switch-margin")
        self.assert_fails(self.ctl("set", "", "5"), 2, "KEY", "is empty")

    def test_negative_value_is_told_how_to_be_typed(self):
        self.assert_fails(self.ctl("set", "switch-margin", "-5"), 2, "-5", "goes behind '--'")
        self.assert_fails(self.ctl("set", "--", "switch-margin", "-5"), 1, "switch-margin")

    def test_reset(self):
        self.do("reset", "switch-margin")
        self.assertEqual(self.do("get", "switch-margin"), "1\n")
        self.assertNotIn("switch-margin", self.node_.config.read_text())

    def test_wrong_value_says_which_type_is_wanted(self):
        self.assert_fails(self.ctl("set", "switch-margin", "much"), 1, "switch-margin = much: ", "type u", "such as 1000")
        self.assert_fails(self.ctl("set", "listen", "tcp://127.0.0.1:0"), 1, "type as", "such as ['")
        self.assert_fails(self.ctl("set", "ping-interval", "5"), 1, "ping-interval = 5: ", "(50, 3600000)")
        self.assert_fails(self.ctl("set", "listen", "['tcp://x']"), 1, "listen = ['tcp://x']: ", "port")
        self.assert_fails(self.ctl("set", "name", "\x1b[31m"), 1, "name = ")
        self.assertNotIn("\x1b", self.ctl("set", "name", "\x1b[31m").stderr)

    def test_keys_that_are_not_there(self):
        for command in (["get", "frob"], ["set", "frob", "1"], ["reset", "frob"]):
            self.assert_fails(self.ctl(*command), 1, "no key 'frob'", "hyphactl config list")

    def test_usage(self):
        self.assert_fails(self.ctl(), 2, "list|get|set|reset is missing")
        self.assert_fails(self.ctl("frob"), 2, "'frob' is none of list, get, set, reset")
        self.assert_fails(self.ctl("get"), 2, "get: KEY is missing")
        self.assert_fails(self.ctl("set"), 2, "set: KEY is missing")
        self.assert_fails(self.ctl("set", "name"), 2, "set: VALUE is missing")
        self.assert_fails(self.ctl("reset", "name", "x"), 2, "reset: there is no place for 'x'")
        self.assert_fails(self.ctl("set", "name", "two", "words"), 2, "'words'")


if __name__ == "__main__":
    sys.exit(main())
