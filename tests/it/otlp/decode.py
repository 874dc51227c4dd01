"""Decodes requests of OTLP with the messages that the OpenTelemetry project publishes for Python.

Arguments: files that each hold one request's body as it was sent; their names end in the signal
(`traces`, `logs`, `metrics`), and in `.gzip` after it where the body is compressed. Standard output:
a JSON array of {"signal": …, "request": …}, the request in OTLP's JSON.
"""

import base64
import gzip
import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
IDS = {"traceId", "spanId", "parentSpanId"}


def with_hexadecimal_ids(value):
    """OTLP's JSON differs in this from that of protobuf, which has base64."""
    if isinstance(value, list):
        return [with_hexadecimal_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(each).hex() if key in IDS else with_hexadecimal_ids(each)
        for key, each in value.items()
    }


def decoded(path):
    with open(path, "rb") as file:
        body = file.read()
    name = path
    if name.endswith(".gzip"):
        name, body = name.removesuffix(".gzip"), gzip.decompress(body)
    signal = name.rsplit("-", 1)[-1]
    request = REQUESTS[signal]()
    request.ParseFromString(body)
    # A field that the published messages do not know would be kept, and written again.
    known = REQUESTS[signal]()
    known.CopyFrom(request)
    known.DiscardUnknownFields()
    if known.ByteSize() != request.ByteSize():
        sys.exit(f"{path} has fields that OTLP does not")
    message = MessageToDict(request, use_integers_for_enums=True)
    return {"signal": signal, "request": with_hexadecimal_ids(message)}


print(json.dumps([decoded(path) for path in sys.argv[1:]]))
