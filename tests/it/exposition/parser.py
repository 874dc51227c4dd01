"""Parses exposition documents with the official Python client, one after another.

Standard input: for each document a line `FORMAT LENGTH\n` (FORMAT is `text` or `openmetrics`,
LENGTH counts bytes), then that many bytes of UTF-8. Standard output: for each document one line
of JSON, a list of families or {"error": "..."}. Ends at the end of the input.

Values are strings, as JSON has no NaN and no infinities.
"""

import io
import json
import sys

from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as openmetrics

PARSERS = {"text": text, "openmetrics": openmetrics}


def exemplar(given):
    if given is None:
        return None
    return {
        "labels": given.labels,
        "value": str(given.value),
        "timestamp": None if given.timestamp is None else str(float(given.timestamp)),
    }


def sample(given):
    return {
        "name": given.name,
        "labels": given.labels,
        "value": str(given.value),
        "timestamp": None if given.timestamp is None else str(float(given.timestamp)),
        "exemplar": exemplar(given.exemplar),
    }


def family(given):
    return {
        "name": given.name,
        "kind": given.type,
        "unit": given.unit,
        "help": given.documentation,
        "samples": [sample(each) for each in given.samples],
    }


def answer(form, document):
    try:
        # Lines end at "\n" alone: a carriage return or U+2028 in a label value is no line end.
        lines = io.StringIO(document.decode("utf-8"), newline="\n")
        return [family(each) for each in PARSERS[form].text_fd_to_metric_families(lines)]
    except Exception as error:  # whatever the parser raises is its refusal of the document
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    while header := sys.stdin.buffer.readline():
        form, length = header.decode("ascii").split()
        document = sys.stdin.buffer.read(int(length))
        sys.stdout.write(json.dumps(answer(form, document)) + "\n")
        sys.stdout.flush()


main()
