#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the simulator is worth: each rule of the sessions is broken once, in a copy of the tree, and
some seed has to find it.

    mutants.py                  all of them; exit 1 if one survives
    mutants.py NAME...          these
    mutants.py --check          only whether each replacement still applies
    mutants.py --list           their names, and the rules they break
    mutants.py --markdown       the result as the table of README.md

The copy and its build live in _build-mutants, and are used again."""

import argparse
import filecmp
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WHERE = os.path.join(ROOT, "_build-mutants")
COPY, BUILD = os.path.join(WHERE, "source"), os.path.join(WHERE, "build")
# These need more than one life of an instance, and words that come late: they are looked for in runs of hardly
# anything else.
LIVES = {"resume-is-not-judged", "holds-more-than-was-sent", "epoch-is-not-judged", "frames-are-not-compared",
         "links-are-counted", "other-life-is-not-told", "resume-comes-before-taken"}
SECONDS = 600  # for one mutant; a seed that hangs is ended by sim itself, much sooner

# name; the rule it breaks; file of core/session; then in turn the text, which has to be there once, and what is
# there instead (twice, where one place covers another)
Mutant = namedtuple("Mutant", "name rule file edits")

MUTANTS = [Mutant(name, rule, file, list(zip(edits[::2], edits[1::2]))) for name, rule, file, *edits in [
    # --- invariant 1: offsets and limits are absolute, and a receiver takes the maximum
    ("limit-falls", "1: the highest limit holds", "sending.c",
     "if (limit <= stream->limit || stream->ended)", "if (limit == stream->limit || stream->ended)"),
    ("sends-beyond-limit", "1: sent <= the peer's limit", "sending.c",
     "guint64 end = MIN (stream->written, stream->limit);", "guint64 end = stream->written;",
     "top = MIN (stream->limit, stream->acked + self->limits.send_max);",
     "top = stream->acked + self->limits.send_max;"),
    ("acked-falls", "1: the highest ACK holds", "sending.c",
     "if (next > stream->acked) {", "if (next != stream->acked) {"),
    # --- invariant 2: no gap, and what overlaps is dropped
    ("overlap-is-taken", "2: what overlaps is dropped", "receiving.c",
     "take (self, stream, frame->data + (stream->next - frame->value), (gsize) (end - stream->next));",
     "take (self, stream, frame->data, frame->length);"),
    ("gap-is-sent", "2: nothing is sent beyond what is expected", "sending.c",
     "stream->position = stream->acked;\n  stream->fresh", "stream->position = stream->sent;\n  stream->fresh"),
    # --- invariant 3: ACK means held; how a stream ends
    ("acks-what-is-not-here", "3: ACK means held", "output.c",
     "frame->value = stream->next;", "frame->value = stream->promised;"),
    ("end-is-not-acked", "3: an end is acknowledged", "receiving.c",
     "HYPHA_ERROR_RESET, NULL);\n  owe_ack_now (self, stream);", "HYPHA_ERROR_RESET, NULL);"),
    ("ends-without-fin", "3: FIN acknowledged, not only the bytes", "sending.c",
     "if ((fin || reset) && stream->send_end == HYPHA_END_NONE)",
     "if ((fin || reset || (next > 0 && next == stream->written)) && stream->send_end == HYPHA_END_NONE)"),
    ("reset-looks-finished", "3: it says how it ended", "receiving.c",
     "if (how == HYPHA_END_FIN)", "if (how != HYPHA_END_NONE)"),
    ("ack-names-the-wrong-end", "3: it says which end was taken", "output.c",
     "frame->flags = HYPHA_FRAME_RESET_TAKEN;", "frame->flags = HYPHA_FRAME_FIN;"),
    # --- invariant 4: memory
    ("drops-unacknowledged", "4: unacknowledged data is never dropped", "sending.c",
     "hypha_queue_drop (&stream->out, next);", "hypha_queue_drop (&stream->out, stream->sent);"),
    ("pool-is-lent-twice", "4: windows add up to the total", "credit.c",
     "beyond (pool, self->lent) / 4;", "pool / 4;"),
    ("window-above-its-share", "4: one window is at most window_max", "credit.c",
     "size = MIN (size, MAX (self->limits.window_max, stream->reserve));", ";"),
    ("what-is-held-is-not-counted", "4: what is held counts", "credit.c",
     "return stream->held;", "return 0;"),
    ("sends-without-a-pool", "4: what is kept for sending is bounded", "sending.c",
     "return (gsize) MIN (room, own);", "return (gsize) room;"),
    ("stalled-streams-stop-others", "4: no stalled stream stops another", "sending.c",
     "own = stream->reserve > stream->unacknowledged ? stream->reserve - stream->unacknowledged : 0;",
     "own = 0;"),
    ("window-is-not-renewed", "4: whoever reads is given room", "receiving.c",
     "hypha_credit_grant (self, stream);\n  hypha_session_settle (self, stream);",
     "hypha_session_settle (self, stream);"),
    # --- invariant 5: ids
    ("ids-fall", "5: ids rise", "stream.c",
     "self->next_id += 2;", "self->next_id = self->next_id > 20 ? self->next_id % 2 : self->next_id + 2;"),
    ("ids-of-the-other-side", "5: even ids are the lower node's", "session.c",
     "  self->next_id = self->lower ? 0 : 1;\n  self->streams", "  self->next_id = 0;\n  self->streams"),
    ("one-stream-too-many", "5: a limit for each side", "input.c",
     "if (g_queue_get_length (&self->theirs) >= self->limits.streams)",
     "if (g_queue_get_length (&self->theirs) > self->limits.streams)"),
    ("opens-beyond-its-limit", "5: a limit for each side", "stream.c",
     "if (g_queue_get_length (&self->mine) >= self->limits.streams) {",
     "if (g_queue_get_length (&self->mine) > self->limits.streams) {"),
    ("open-is-carried-out-again", "5: an OPEN at or below the highest is not carried out", "input.c",
     "if (frame->stream <= self->seen)", "if (FALSE)"),
    ("absent-stream-stays", "5: what RESUME does not list has ended", "resume.c",
     "if (!take_absent (self, link, &resume))", "if (FALSE && !take_absent (self, link, &resume))"),
    ("forgotten-before-read", "5: not forgotten before all is read", "stream.c",
     "if (stream->ended || stream->owes != 0 || stream->held > 0)",
     "if (stream->ended || stream->owes != 0)"),
    ("half-ended-is-forgotten", "5: both directions have to end", "stream.c",
     "if (stream->send_end == HYPHA_END_NONE || stream->receive_end == HYPHA_END_NONE)\n    return;",
     "if (stream->send_end == HYPHA_END_NONE && stream->receive_end == HYPHA_END_NONE)\n    return;"),
    ("gone-is-answered", "5: gone is never answered", "input.c",
     "if (reset && frame->code != HYPHA_CODE_APPLICATION)", "if (FALSE)"),
    # --- what carries a link
    ("carried-goes-over-relayed", "what carries a link stays off relayed links", "resume.c",
     "  if (link->relayed)\n    cut_what_carries (self);\n", ""),
    ("carried-is-only-reset", "what carries a link ends in both directions", "resume.c",
     "  if (stream->receive_end == HYPHA_END_NONE)\n    hypha_session_stream_stop (self, stream, HYPHA_CODE_APPLICATION);\n",
     ""),
    # --- invariant 6: control state is sent again from state
    ("reset-is-not-repeated", "6: RESET again after a change", "sending.c",
     "if (stream->resetting && stream->send_end == HYPHA_END_NONE)", "if (FALSE)"),
    ("stop-is-not-repeated", "6: STOP again after a change", "resume.c",
     "if (stream->stopping && stream->receive_end == HYPHA_END_NONE)", "if (FALSE)"),
    ("open-is-not-repeated", "6: OPEN again after a change", "resume.c",
     "if (stream->mine && !stream->answered)", "if (FALSE)"),
    ("fin-is-not-repeated", "6: FIN again after a change", "sending.c",
     "  stream->fin_in_epoch = FALSE;\n", ""),
    ("limit-is-not-repeated", "6: RESUME has the limits", "resume.c",
     "entry->limit = stream->promised;", "entry->limit = 0;"),
    ("ticket-is-not-repeated", "6: OPEN again with its ticket", "output.c",
     "stream != NULL && stream->direct ?", "stream != NULL && stream->direct && !stream->open_sent ?"),
    # --- which session
    ("number-is-kept", "a new number whenever the streams are dropped", "session.c",
     "self->number = hypha_session_draw_number (self);\n  self->paired = FALSE;", "self->paired = FALSE;"),
    ("higher-number-keeps-streams", "a higher number of the peer: reset the streams", "attach.c",
     "if (self->paired)", "if (FALSE)"),
    ("old-links-are-kept", "a higher number of the peer: close the old links", "session.c",
     "while (self->links->len > 0) {", "while (FALSE) {"),
    ("lower-number-is-taken", "a number not above what was known: rolled back", "attach.c",
     "if (peer_session < session_then ||", "if (FALSE && peer_session < session_then ||"),
    ("number-is-held-against-now", "known when one's own nonce went out, not later", "attach.c",
     "hypha_watermark_at (&self->peer, offer->nonce_tick,", "hypha_watermark_at (&self->peer, G_MAXUINT64,"),
    ("stale-offer-is-taken", "a number otherwise stale closes that link", "attach.c",
     "if (peer_session < self->peer_number || offer->session_number != self->number)",
     "if (peer_session < self->peer_number)"),
    ("accused-stays-below", "the accused goes on above the number", "attach.c",
     "lifted = lift_numbers (self, highest);", "lifted = TRUE;"),
    ("responder-is-not-forgiven", "whoever was found rolled back is met again", "attach.c",
     "  self->peer_number = 0;\n", ""),
    ("never-expires", "a session without a link lives session-timeout", "session.c",
     "if (now >= expires_at (self))", "if (FALSE)"),
    ("expires-early", "a session without a link lives session-timeout", "session.c",
     "return self->offline_since + self->limits.session_timeout;",
     "return self->offline_since + self->limits.session_timeout / 2;"),
    ("standstill-counts", "time in which a node stood still does not count for session-timeout", "session.c",
     "if (unseen > STANDSTILL)", "if (FALSE)"),
    # --- a new link
    ("used-before-resume", "nothing before the peer's RESUME was checked", "attach.c",
     "HyphaCandidate candidate = { .cost = cost };",
     "HyphaCandidate candidate = { .cost = cost, .usable = TRUE };"),
    ("resume-is-not-judged", "a RESUME below what was acknowledged: rolled back", "resume.c",
     "(first && !check_backwards (self, link, &resume))", "FALSE"),
    ("resume-is-held-against-now", "acknowledged when the nonce went out, not later", "resume.c",
     "hypha_watermark_at (&stream->mark, link->tick,", "hypha_watermark_at (&stream->mark, G_MAXUINT64,"),
    ("ids-are-held-against-now", "ids known when the nonce went out, not later", "resume.c",
     "hypha_watermark_at (&self->ids, link->tick,", "hypha_watermark_at (&self->ids, G_MAXUINT64,"),
    ("holds-more-than-was-sent", "more than was ever sent: rolled back", "sending.c",
     "if (next > stream->sent)", "if (FALSE)"),
    ("verdict-has-no-end", "that session ends as rolled back", "session.c",
     "hypha_session_over (self, HYPHA_ERROR_ROLLED_BACK, text, TRUE, HYPHA_AWAY_ROLLED_BACK);\n  return FALSE;",
     "return TRUE;"),
    # --- a change of link
    ("sent-is-of-this-epoch", "sent is the highest ever", "sending.c",
     "stream->fresh = stream->sent;", "stream->fresh = stream->sent = stream->acked;"),
    ("two-links-carry", "one link carries a direction", "output.c",
     "if (link != self->chosen || link->owes_epoch)", "if (!link->up || self->said->len == 0 || link->owes_epoch)"),
    ("every-link-is-heard", "streams are heard over the link of the last EPOCH", "input.c",
     "if (link->fingerprint != self->heard)\n    return FALSE;", ";"),
    ("epoch-is-not-judged", "an EPOCH names the last one, and what came after it", "epoch.c",
     "if (self->peer_epoch != 0 && !has_said_the_last (self, frame))", "if (FALSE)"),
    ("frames-are-not-compared", "an EPOCH names all that came after the last one", "epoch.c",
     "return entry.frames >= self->heard_frames;", "return TRUE;"),
    ("last-epoch-is-forgotten", "an EPOCH names all that may have been heard", "epoch.c",
     "  g_array_append_val (self->said, now);", "  g_array_set_size (self->said, 0);\n  g_array_append_val (self->said, now);"),
    ("links-are-counted", "an EPOCH names a link as no other life can", "attach.c",
     "link->fingerprint = fingerprint;", "link->fingerprint = number + offer->link_number;"),
    ("other-life-is-not-told", "whom the peer does not hear is told", "epoch.c",
     "other->owes_taken = TRUE;", ";"),
    ("resume-comes-before-taken", "whose words were taken is said before they are acknowledged", "output.c",
     "if (link->owes_taken || (link->owes_resume && link->told != self->heard_frames)) {",
     "if (link->owes_taken && link->resume_sent) {"),
    ("close-is-not-said", "CLOSE ends the session over there, too", "attach.c",
     "link->owes_close = say_close;", "link->owes_close = FALSE;"),
    # --- life
    ("suspect-is-kept", "traffic leaves a suspect link", "choice.c",
     "*reason = live != HYPHA_CHOICE_NONE ? HYPHA_CHOICE_SUSPECT : HYPHA_CHOICE_KEPT;\n"
     "    return live != HYPHA_CHOICE_NONE ? live : chosen;",
     "*reason = HYPHA_CHOICE_KEPT;\n    return chosen;"),
    ("cheaper-is-not-taken", "it goes back to a cheaper link", "choice.c",
     "if (best == HYPHA_CHOICE_NONE) {", "if (TRUE) {"),
    ("anything-confirms", "only an ACK of data that went over this link shows that it hears", "sending.c",
     "if (next > stream->fresh && self->chosen != NULL)", "if (self->chosen != NULL)"),
    ("an-ack-confirms-all", "only an ACK of the last frame shows that all of them are heard", "sending.c",
     "if (self->chosen->last_data == stream->id && next == stream->sent &&", "if (next == stream->sent &&"),
    ("acks-are-not-sent", "held-back acknowledgements are sent when due", "session.c",
     "  hypha_receiving_acks_due (self);\n", ""),
]]


def path_of(root, mutant):
    return os.path.join(root, "core", "session", mutant.file)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def check(mutants):
    """Does each replacement still apply, to one place?"""
    bad = 0
    for mutant in mutants:
        whole = read(path_of(ROOT, mutant))
        for old, _ in mutant.edits:
            if whole.count(old) != 1:
                print(f"{mutant.name}: core/session/{mutant.file} has {whole.count(old)} times: {old!r}")
                bad += 1
    return bad


def copy_tree():
    """The files of the tree as they are now; what has not changed keeps its time."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = os.path.join(ROOT, name), os.path.join(COPY, name)
        if not os.path.isfile(source):
            continue
        if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"mutants: {' '.join(command)}\n{result.stdout[-4000:]}{result.stderr[-4000:]}")


def build():
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        run(["meson", "setup", "-Dbuildtype=release", "-Dinvariants=true", "-Dtests=true", BUILD, COPY])
    run(["ninja", "-C", BUILD, "tests/sim/sim"])


def hunt(seeds, options):
    """The first seed that fails, and its complaint; None if there is none."""
    sim = [os.path.join(BUILD, "tests", "sim", "sim"), "--seeds", f"0:{seeds}", "--first", "--jobs", "1",
           *options]
    with subprocess.Popen(sim, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the processes that run the seeds as well
            return None
    if process.returncode == 0:
        return None
    found = re.search(r"^seed (\d+) FAILED: (.*)$", output, re.MULTILINE)
    if found is None:
        whole = re.search(r"^FAILED: (.*)$", output, re.MULTILINE)
        return "all", whole[1] if whole else "it failed"
    said = re.search(r"ERROR:(?:[^:]*/)?([^/:]*):\d+:(\w+): (.*)", errors)
    if found[2].startswith("died") and said:
        return found[1], f"{said[2]}: {said[3]}"
    return found[1], found[2]


def try_mutant(mutant, seeds, options):
    target = path_of(COPY, mutant)
    whole = read(target)
    text = whole
    for old, new in mutant.edits:
        text = text.replace(old, new)
    write(target, text)
    try:
        build()
        return hunt(seeds, options)
    finally:
        write(target, whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--seeds", type=int, default=3000, metavar="N",
                        help="try so many seeds, of many lives three times as many (default: 3000)")
    options = parser.parse_args()
    unknown = set(options.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}; --list names them")
    mutants = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:32} {mutant.rule}")
        return 0
    if check(mutants):
        return 1
    if options.check:
        print(f"{len(mutants)} replacements apply")
        return 0

    copy_tree()
    build()
    survived = 0
    if options.markdown:
        print("| mutant | the rule that it breaks | seed | complaint |\n|---|---|---|---|")
    for mutant in mutants:
        start = time.monotonic()
        profile = ["--lives"] if mutant.name in LIVES else []
        seeds = options.seeds * (3 if profile else 1)
        found = try_mutant(mutant, seeds, profile)
        survived += found is None
        seed, complaint = found or ("-", f"SURVIVED {seeds} seeds, or {SECONDS} s")
        seed = " ".join([seed, *profile])
        if options.markdown:
            print(f"| `{mutant.name}` | {mutant.rule} | {seed} | {complaint} |", flush=True)
        else:
            print(f"{mutant.name:32} seed {seed:>13}  {complaint}  ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{len(mutants) - survived} of {len(mutants)} were found", file=sys.stderr)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
