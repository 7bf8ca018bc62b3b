"""What a user can use of the messages of ONNX, onnxruntime and OpenVINO: the operators, nodes and tensors that they name."""

from __future__ import annotations

import re

# Each pattern finds one kind of message; its sentence names the parts that the pattern found.
CHECKER = (
    (r"No Op registered for (\S+) with domain_version of (\d+)", "opset {1} of ONNX has no operator {0}"),
    (r"No opset import for domain '?([^'\s]+)'?", "it uses operators of domain '{0}' without naming their version"),
    (r"Unrecognized attribute: (\S+) for operator (\S+)", "operator {1} has no attribute '{0}' in its opset"),
    (r"however input '([^']*)' of node", "tensor '{0}' is read before a node computes it"),
    (r"'([^']+)' has been used as (?:output|graph input) names multiple times", "two nodes compute '{0}'"),
    (r"tensor name: ([^)]+)\) .*too small", "the values of '{0}' are incomplete"),
    (r"with schema\(([\w.]*)::(\w+):\d+\) has (input|output) size (\d+)", "an operator {1} has {3} {2}s"),
    (r"Field 'shape' of 'type' is required", "an input or an output declares no shape"),
    (r"Required attribute '(\w+)' is missing", "a node lacks its attribute '{0}'"),
)
_CONTEXT = re.compile(r"Name: (\S*) OpType: (\w+)")
# How the libraries name a node: ONNX's inference, onnxruntime on loading and on running, ONNX's reference implementation, OpenVINO.
_NODES = (
    re.compile(r"\(op_type:(?P<op>\w+)(?:, node name: (?P<node>[^)]*))?\)"),
    re.compile(r"running (?P<op>\w+) node\. Name:'(?P<node>[^']*)'"),
    re.compile(r"Node \((?P<node>[^)]*)\) Op \((?P<op>\w+)\)"),
    re.compile(r"In Node, \(\"(?P<node>[^\"]*)\", (?P<op>\w+),"),
    re.compile(r"Node:\s?(?P<node>\S+) .*?OpType: ?(?P<op>\w+)"),
    re.compile(r"(?P<op>\w+) node with name '(?P<node>[^']*)'"),
    re.compile(r"<Node\((?P<op>\w+)\): (?P<node>[^>]*)>"),
    re.compile(r"(?:No implementation for operator|Node type) '(?P<op>\w+)'(?P<node>) (?:from )?domain"),
    re.compile(r"Conversion is failed for: (?P<op>[\w.]+)(?P<node>)"),
)


def named_node(error: BaseException) -> tuple[str, str] | None:
    """The name and the operator of the node that a library's message is about."""
    text = str(error)
    for pattern in _NODES:
        if found := pattern.search(text):
            return found["node"] or "", found["op"]
    return None


def where(error: BaseException) -> str:
    """ " at 'add_3' (Add)", or nothing if a library's message names no node."""
    found = named_node(error)
    if found is None:
        return ""
    node, operator = found
    return f" at '{node}' ({operator})" if node else f" at an operator {operator}"


def too_new(error: BaseException) -> str | None:
    """Which version of ONNX to export with, if an engine's message says that it does not know the file's version."""
    text = str(error)
    if found := re.search(r"Opset (\d+) is under development.*till opset (\d+)", text, re.DOTALL):
        return (
            f"it reads no opset after {found[2]}, and the file uses opset {found[1]}: export it with opset_version=17"
        )
    if found := re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", text):
        return f"it reads no IR version after {found[2]}, and the file has {found[1]}: export it with opset_version=17"
    return None


def checker_says(error: BaseException) -> str:
    """The message of ONNX's checker in plain words."""
    text = str(error)
    for pattern, sentence in CHECKER:
        if found := re.search(pattern, text, re.DOTALL):
            context = _CONTEXT.search(text) or re.search(r"Node \((\S+)\) with schema", text)
            node = f" (node '{context[1]}')" if context and context[1] else ""
            return sentence.format(*found.groups()) + node
    return f"the graph does not follow ONNX's rules{where(error)}"
