"""What a firm would script: the plaintext of an export on standard input, an EML in each participant's folder.

Usage: script.py MAPPING STAGING. ElementTree reads, email.message writes; nothing is synced, kept, proven or held.
"""

import csv
import email.utils
import hashlib
import os
import sys
import xml.etree.ElementTree as ElementTree
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

mapping_path, staging = sys.argv[1:]
with open(mapping_path, newline="", encoding="utf-8") as rows:
    mapping = {row["ImId"].lower(): row["Mailbox"].lower() for row in csv.DictReader(rows)}


def mailbox(person, email_tag):
    mapped = mapping.get((person.findtext("ImId") or "").lower())
    address = (person.findtext(email_tag) or "").lower()
    return mapped or (address if address.endswith("@contoso.com") else None)


conversation_room = ""
for event, element in ElementTree.iterparse(sys.stdin.buffer, events=("end",)):
    if element.tag == "RoomID":
        conversation_room = element.text
    if element.tag == "Conversation":
        element.clear()
    if element.tag != "Message":
        continue
    time = datetime.fromisoformat(element.findtext("DateTimeUTC"))
    people = [mailbox(element, "SenderEmail")]
    people += [mailbox(recipient, "RecipientEmail") for recipient in element.findall("Recipient")]
    text = element.findtext("Content")
    message = EmailMessage(policy=SMTP)
    message["From"] = element.findtext("SenderEmail")
    message["To"] = ", ".join(recipient.findtext("RecipientEmail") for recipient in element.findall("Recipient"))
    message["Subject"] = f"ICE Chat in {conversation_room}: {text[:60]}"
    message["Date"] = email.utils.format_datetime(time)
    identity = hashlib.sha256(element.findtext("MessageID").encode()).hexdigest()
    message["Message-ID"] = f"<{identity}@icechat.invalid>"
    message.set_content(text)
    data = message.as_bytes()
    for place in dict.fromkeys(filter(None, people)):
        folder = os.path.join(staging, place, "ICE Chat")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{time:%Y%m%dT%H%M%SZ}-{identity[:32]}.eml"), "wb") as file:
            file.write(data)
    element.clear()
