"""Prints the name, the package's folder and the file of each test program in cargo's messages."""

import json
import os.path
import sys

with open(sys.argv[1], encoding="utf-8") as messages:
    for line in messages:
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            folder = os.path.dirname(message["manifest_path"])
            print(message["target"]["name"], folder, message["executable"])
