#!/usr/bin/env python3
"""An importer, written from docs/staging.md alone: it takes what the ready lists name, by name, into a folder of its own.

    importer.py STAGING ARCHIVE

It goes on until ARCHIVE/stop is there, and then once more over all lists. It may be killed at any time and started again.
What must not be ends it with a line that says so.
"""

import email.parser
import email.policy
import hashlib
import json
import os
import sys
import time

FOLDER = "ICE Chat"
KEYS = {"mailbox", "path", "message_id", "sha256"}


def wrong(what):
    sys.exit(f"importer: {what}")


def lists(ready):
    """The lists that are visible, oldest first; a name that begins with a dot is not an importer's."""
    try:
        return sorted(name for name in os.listdir(ready) if not name.startswith("."))
    except FileNotFoundError:
        return []


def lines(path):
    """A list's lines; none where the program removed it meanwhile."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    if not text.endswith(b"\n"):
        wrong(f"{path} is not whole")
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            wrong(f"{path}:{number} is no JSON")
        if set(found[-1]) != KEYS:
            wrong(f"{path}:{number} has the keys {sorted(found[-1])}")
    return found


def checked(path, line):
    """The EML, which must be the one that the list means."""
    with open(path, "rb") as file:
        mail = file.read()
    if hashlib.sha256(mail).hexdigest() != line["sha256"]:
        wrong(f"{path} is not what the list says")
    headers = email.parser.BytesHeaderParser(policy=email.policy.default).parsebytes(mail)
    if headers["Message-ID"] != line["message_id"]:
        wrong(f"{path} has the Message-ID {headers['Message-ID']}, the list says {line['message_id']}")
    return mail


def take(staging, archive, line):
    mailbox, folder, name = line["path"].split("/")
    if (mailbox, folder) != (line["mailbox"], FOLDER) or name.startswith("."):
        wrong(f"the list names {line['path']} for {line['mailbox']}")
    source = os.path.join(staging, mailbox, folder, name)
    kept = os.path.join(archive, "mail", mailbox, name)
    try:
        mail = checked(source, line)
    except FileNotFoundError:
        # Nobody else takes anything.
        if not os.path.exists(kept):
            wrong(f"{line['path']} is listed, was never taken, and does not stand")
        return
    if os.path.exists(kept):
        # Killed between the two steps below, or it came back.
        with open(kept, "rb") as file:
            if file.read() != mail:
                wrong(f"{line['path']} came again with other bytes")
        with open(os.path.join(archive, "again"), "a") as log:
            log.write(f"{mailbox}/{name}\n")
    else:
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        with open(kept + ".tmp", "wb") as file:
            file.write(mail)
        os.rename(kept + ".tmp", kept)
    os.remove(source)


def main():
    staging, archive = sys.argv[1:]
    ready = os.path.join(staging, ".ready")
    while True:
        last = os.path.exists(os.path.join(archive, "stop"))
        for name in lists(ready):
            for line in lines(os.path.join(ready, name)):
                take(staging, archive, line)
        if last:
            return
        time.sleep(0.002)


main()
