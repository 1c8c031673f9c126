"""Reads mails, one a line in hexadecimal, and writes what it sees, one JSON object a line. Standard library only."""

import email
import json
import re
import sys
from datetime import datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.policy import compat32, default
from email.utils import getaddresses

SHOWN_APART = {"from", "to", "cc", "content-type", "content-transfer-encoding"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


def addresses(mail, plain, name):
    if mail[name] is None:
        return []
    # Before 3.13.2 the modern parser shows a space between two encoded words of a name (gh-128110), so names are
    # taken from the old one and the modern one has to agree but for spaces.
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", plain[name])
    seen = [(str(make_header(decode_header(shown))), spec) for shown, spec in getaddresses([unfolded])]
    modern = [(one.display_name.replace(" ", ""), one.addr_spec) for one in mail[name].addresses]
    assert modern == [(shown.replace(" ", ""), spec) for shown, spec in seen], (modern, seen)
    return seen


def field(mail, name):
    if name == "date":
        value = mail["date"].datetime
        return str((value - EPOCH) // SECOND)
    return str(mail[name])


def seen(octets):
    mail = email.message_from_bytes(octets, policy=default)
    plain = email.message_from_bytes(octets, policy=compat32)
    names = [name.lower() for name in mail.keys()]
    assert len(names) == len(set(names)), names
    defects = [str(defect) for part in mail.walk() for defect in part.defects]
    defects += [str(defect) for name in names for defect in mail[name].defects]
    assert not defects, defects
    parts = list(mail.iter_parts()) if mail.get_content_type() == "multipart/mixed" else [mail]
    forms = list(parts[0].iter_parts()) if parts[0].is_multipart() else [parts[0]]
    assert not parts[0].is_multipart() or parts[0].get_content_type() == "multipart/alternative"
    assert [form.get_content_type() for form in forms] == ["text/plain", "text/html"][: len(forms)]
    assert [part.get_content_disposition() for part in parts[1:]] == ["attachment"] * (len(parts) - 1)
    return {
        "from": addresses(mail, plain, "from"),
        "to": addresses(mail, plain, "to"),
        "cc": addresses(mail, plain, "cc"),
        "fields": {name: field(mail, name) for name in names if name not in SHOWN_APART},
        "text": forms[0].get_content().replace("\r\n", "\n"),
        "html": forms[1].get_content().replace("\r\n", "\n") if len(forms) > 1 else None,
        "files": [
            {
                # Not get_filename(): it takes quotes off a name that begins and ends with one (collapse_rfc2231_value).
                "name": part["content-disposition"].params.get("filename"),
                "media_type": part.get_content_type(),
                "hex": part.get_payload(decode=True).hex(),
            }
            for part in parts[1:]
        ],
    }


for line in sys.stdin:
    print(json.dumps(seen(bytes.fromhex(line))))
